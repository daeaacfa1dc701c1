"""Ask for credits, and grant or decline what was asked for."""

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import rate_limits
from accounts.credits import mails
from accounts.ledger import operations as ledger
from accounts.models import CreditRequest, Team, User
from accounts.rate_limits import Bound

PER_MINUTE = 6
"""For one user: each request is an email to several people."""


class AlreadyAskedError(Exception):
    """The person has an open request for this batch."""


class AlreadyDecidedError(Exception):
    """Someone else decided the request."""


@dataclass(frozen=True)
class Decision:
    """The answer of staff to a request. microcredits: granted; 0 declines, and ``answer`` says why."""

    microcredits: int
    answer: str = ""


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


def decide(asked: CreditRequest, decision: Decision, staff: User) -> None:
    """Grant or decline a request, and email the answer; raise AlreadyDecidedError.

    Sends an email, so don't call it in a transaction.
    """
    with transaction.atomic():
        _close(asked, decision, staff)
        if decision.microcredits:
            ledger.grant(
                asked.team, decision.microcredits, key=f"request:{asked.pk}", actor=staff, memo=_memo(asked)
            )
    mails.tell_the_asker(asked)


def _close(asked: CreditRequest, decision: Decision, staff: User) -> None:
    # One conditional UPDATE: of two decisions at once, only one finds the request open.
    values = {
        "decided_at": timezone.now(),
        "decided_by": staff,
        "granted_microcredits": decision.microcredits,
        "answer": decision.answer,
    }
    if not CreditRequest.objects.waiting().filter(pk=asked.pk).update(**values):
        raise AlreadyDecidedError(str(asked.pk))
    for name, value in values.items():
        setattr(asked, name, value)


def _memo(asked: CreditRequest) -> str:
    """Return the memo of the grant: the asker's own note, which the statement shows."""
    return asked.note or str(asked.asked_by)


def _open(team: Team, user: User, batch: UUID | None) -> bool:
    return CreditRequest.objects.waiting().filter(team=team, asked_by=user, batch=batch).exists()
