"""Ask for credits, and grant or decline what was asked for."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit_log, rate_limits
from accounts.audit_log import Action
from accounts.credits import mails
from accounts.ledger import allowances, posting
from accounts.ledger import operations as ledger
from accounts.ledger.posting import Account, Books
from accounts.models import Allowance, CreditRequest, Membership, Role, Team, User
from accounts.rate_limits import Bound

PER_MINUTE = 6
"""For one user: each request is an email to several people."""


class AlreadyAskedError(Exception):
    """The person has an open request for this batch."""


class AlreadyDecidedError(Exception):
    """Someone else decided the request."""


class PoolTooSmallError(Exception):
    """The team has less available than was to be granted within its pool. Nothing was written."""

    def __init__(self, available: int) -> None:
        super().__init__(f"{available} micro-credits available")
        self.available_microcredits = available


class UnlimitedError(Exception):
    """No allowance limits the person who asked, so nothing can be granted within the pool."""


@dataclass(frozen=True)
class Decision:
    """The answer to a request. microcredits: granted; 0 declines, and ``answer`` says why.

    from_pool: they aren't new, but more of what the team has, for the one who asked.
    """

    microcredits: int
    answer: str = ""
    from_pool: bool = False


def ask(
    team: Team, user: User, microcredits: int, note: str = "", batch: UUID | None = None
) -> CreditRequest:
    """Record a request and email those who can help; raise AlreadyAskedError or rate_limits.TooFastError.

    Sends an email, so don't call it in a transaction.
    """
    if _open(team, user, batch):
        raise AlreadyAskedError(str(team.pk))
    rate_limits.take(Bound(f"credit-requests:{user.pk}", PER_MINUTE))
    try:
        with transaction.atomic():
            asked = CreditRequest.objects.create(
                team=team, asked_by=user, microcredits=microcredits, note=note, batch=batch
            )
    except IntegrityError as error:  # the same person asked twice at once
        raise AlreadyAskedError(str(team.pk)) from error
    mails.tell_who_can_help(asked)
    return asked


def within_pool(team: Team, reader: Membership | None = None) -> QuerySet[CreditRequest]:
    """Select the open requests of people whom an allowance limits, so that it can be raised.

    reader: only those that this manager, or owner, may decide: a manager's own allowance is up to an owner.
    """
    limited = Membership.objects.filter(team=team, allowance__isnull=False)
    if reader and reader.role < Role.MANAGER:
        limited = limited.none()
    elif reader and reader.role < Role.OWNER:
        limited = limited.filter(role__lt=Role.MANAGER)
    return team.credit_requests.waiting().filter(asked_by__in=limited.values("user"))


def decide(asked: CreditRequest, decision: Decision, by: User) -> None:
    """Grant or decline a request, and email the answer.

    Raise AlreadyDecidedError, or within the pool PoolTooSmallError or UnlimitedError. Sends an email, so
    don't call it in a transaction.
    """
    with posting.locked(asked.team_id) as books:
        closed = _close(asked, decision, by)
        before, after = _grant(asked, decision, by, books)
        audit_log.record(
            Action.GRANT_REQUEST if decision.microcredits else Action.DECLINE_REQUEST,
            f"request:{asked.pk}",
            actor=by,
            team=asked.team,
            reason=decision.answer,
            before={"asked_microcredits": asked.microcredits} | before,
            after={"granted_microcredits": decision.microcredits} | after,
        )
    for name, value in closed.items():
        setattr(asked, name, value)
    mails.tell_the_asker(asked)


def _close(asked: CreditRequest, decision: Decision, by: User) -> dict[str, Any]:
    # One conditional UPDATE: of two decisions at once, only one finds the request open.
    values = {
        "decided_at": timezone.now(),
        "decided_by": by,
        "granted_microcredits": decision.microcredits,
        "from_pool": decision.from_pool,
        "answer": decision.answer,
    }
    if not CreditRequest.objects.waiting().filter(pk=asked.pk).update(**values):
        raise AlreadyDecidedError(str(asked.pk))
    return values


def _grant(
    asked: CreditRequest, decision: Decision, by: User, books: Books
) -> tuple[dict[str, int], dict[str, int]]:
    """Do what was decided; return what it changed, before and after."""
    amount = decision.microcredits
    if not amount:
        return {}, {}
    if decision.from_pool:
        return _raise_limit(asked, amount, books)
    before = ledger.balances(asked.team)
    # A memo stays for ever, so it doesn't name the asker; the statement reads that from the request.
    ledger.grant(asked.team, amount, key=f"request:{asked.pk}", actor=by, memo=asked.note)
    return {"available": before.available}, {"available": ledger.balances(asked.team).available}


def _raise_limit(asked: CreditRequest, amount: int, books: Books) -> tuple[dict[str, int], dict[str, int]]:
    """Let the person spend more of what the team has, until their allowance renews."""
    if amount > (available := books.balance(Account.AVAILABLE)):
        raise PoolTooSmallError(available)
    theirs = Allowance.objects.filter(team=asked.team, member__user=asked.asked_by)
    allowance = theirs.select_related("member").first()
    if allowance is None:
        raise UnlimitedError(str(asked.asked_by))
    raised = allowances.extend(allowance, amount)
    return {"limit_microcredits": raised.limit - amount}, {"limit_microcredits": raised.limit}


def _open(team: Team, user: User, batch: UUID | None) -> bool:
    return CreditRequest.objects.waiting().filter(team=team, asked_by=user, batch=batch).exists()
