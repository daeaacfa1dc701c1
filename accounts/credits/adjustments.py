"""Give a team credits back, or correct what it has; above a set amount, only once a second person agrees.

``make`` posts the change at once, or puts it to a second person as an ``Adjustment``, which ``approve`` posts
and ``reject`` ends. The audit log gets an entry in the same transaction.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action, checked_reason
from accounts.ledger import operations as ledger
from accounts.ledger import posting
from accounts.ledger.operations import DuplicateKeyError
from accounts.models import Adjustment, Team, Transfer, User
from accounts.teams.permissions import may_decide

Kind = Adjustment.Kind
MAX_MICROCREDITS = 2**53
ACTIONS = {Kind.ADJUST: Action.ADJUST, Kind.REFUND: Action.REFUND, Kind.WRITE_OFF: Action.WRITE_OFF}


class AlreadyDecidedError(Exception):
    """Someone else approved or rejected the adjustment. Nothing was changed."""


class WaitingError(Exception):
    """The same change waits for a second person already. Nothing was changed."""


class NotAllowedError(Exception):
    """The user may not decide this adjustment: it is their own, or the team isn't theirs."""


@dataclass(frozen=True)
class Change:
    """A change of a team's credits, in micro-credits; only a correction may be below zero.

    key: the idempotency key, by which it is made once. reference: the call that it is for, as the ledger
    names it. subject: what the audit log says it is about; the team if empty.
    """

    team: Team
    kind: Adjustment.Kind
    microcredits: int
    reason: str
    key: str
    reference: str = ""
    subject: str = ""


def is_above_limit(microcredits: int) -> bool:
    """Return True if one person alone may not make a change of so much."""
    limit: int = settings.SECOND_REVIEW_MICROCREDITS
    return 0 < limit < abs(microcredits)


def make(change: Change, actor: User, *, alone: bool = True) -> Adjustment | None:
    """Post the change, or return the adjustment that waits for a second person.

    alone: the actor may make a change up to the limit without anybody else. Raises ReasonError, WaitingError,
    DuplicateKeyError if it was made before, and InsufficientCreditsError if less is available than is taken.
    """
    reason = checked_reason(change.reason)
    size = abs(change.microcredits) if change.kind == Kind.ADJUST else change.microcredits
    if not 0 < size < MAX_MICROCREDITS:
        raise ValueError(f"{change.microcredits} micro-credits can't be given or taken")
    # The lock comes first: of two equal changes at once, the second one sees what became of the first.
    with transaction.atomic(), posting.locked(change.team.pk):
        if Adjustment.objects.waiting().filter(key=change.key).exists():
            raise WaitingError(change.key)
        if alone and not is_above_limit(change.microcredits):
            _post(change, reason, actor, ACTIONS[change.kind], change.subject)
            return None
        return _propose(change, reason, actor)


def may_approve(user: User, adjustment: Adjustment) -> bool:
    """Return True for a second person with a say in the team's credits; one of the two must be staff."""
    by_two = user.pk != adjustment.asked_by_id and may_decide(user, adjustment.team)
    return by_two and (user.is_staff or adjustment.asked_by.is_staff)


def approve(adjustment: Adjustment, actor: User) -> None:
    """Post the change that another person asked for.

    Raises AlreadyDecidedError, NotAllowedError, and what the ledger raises; it keeps waiting then.
    """
    if not may_approve(actor, adjustment):
        raise NotAllowedError(str(adjustment.pk))
    change = Change(
        adjustment.team,
        Kind(adjustment.kind),
        adjustment.microcredits,
        adjustment.reason,
        adjustment.key,
        adjustment.reference,
    )
    with transaction.atomic(), posting.locked(adjustment.team_id):
        _close(adjustment, actor, approved=True, answer="", key=adjustment.key)
        _post(change, adjustment.reason, actor, Action.APPROVE, f"adjustment:{adjustment.pk}")


def reject(adjustment: Adjustment, actor: User, answer: str) -> None:
    """End the adjustment without a change; raise AlreadyDecidedError, NotAllowedError or ReasonError."""
    if not may_approve(actor, adjustment):
        raise NotAllowedError(str(adjustment.pk))
    answer = checked_reason(answer)
    with transaction.atomic(), posting.locked(adjustment.team_id):
        # Its key is free again, so that the same call can be refunded by another decision.
        key = f"rejected:{adjustment.pk}:{adjustment.key}"
        _close(adjustment, actor, approved=False, answer=answer, key=key)
        audit_log.record(
            Action.REJECT,
            f"adjustment:{adjustment.pk}",
            actor=actor,
            team=adjustment.team,
            reason=answer,
            before=_terms(adjustment),
            after={"state": "rejected"},
        )


def _propose(change: Change, reason: str, actor: User) -> Adjustment:
    # The key that a posting always has; see ``ledger.operations``.
    if Transfer.objects.filter(idempotency_key=change.key).exists():
        raise DuplicateKeyError(change.key)
    adjustment = Adjustment.objects.create(
        team=change.team,
        kind=change.kind,
        microcredits=change.microcredits,
        reason=reason,
        reference=change.reference,
        key=change.key,
        asked_by=actor,
    )
    audit_log.record(
        Action.PROPOSE,
        f"adjustment:{adjustment.pk}",
        actor=actor,
        team=change.team,
        reason=reason,
        after=_terms(adjustment),
    )
    return adjustment


def _close(adjustment: Adjustment, actor: User, *, approved: bool, answer: str, key: str) -> None:
    # One conditional UPDATE: of two decisions at once, only one finds the adjustment waiting.
    values: dict[str, Any] = {
        "decided_by": actor,
        "decided_at": timezone.now(),
        "approved": approved,
        "answer": answer,
        "key": key,
    }
    if not Adjustment.objects.waiting().filter(pk=adjustment.pk).update(**values):
        raise AlreadyDecidedError(str(adjustment.pk))
    for name, value in values.items():
        setattr(adjustment, name, value)


def _post(change: Change, reason: str, actor: User, action: Action, subject: str) -> None:
    """Write the transfers and the entry, with the balances before and after; the accounts are locked."""
    before = asdict(ledger.balances(change.team))
    post: Callable[..., None] = ledger.refund if change.kind == Kind.REFUND else ledger.adjust
    post(
        change.team,
        change.microcredits,
        key=change.key,
        reference=change.reference,
        actor=actor,
        memo=reason,
    )
    audit_log.record(
        action,
        subject or f"team:{change.team.pk}",
        actor=actor,
        team=change.team,
        reason=reason,
        before=before,
        after=asdict(ledger.balances(change.team))
        | {"change": change.kind, "microcredits": change.microcredits, "key": change.key},
    )


def _terms(adjustment: Adjustment) -> dict[str, Any]:
    return {
        "state": "waiting",
        "change": adjustment.kind,
        "microcredits": adjustment.microcredits,
        "reference": adjustment.reference,
    }
