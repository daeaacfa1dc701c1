"""A person decides: what an attempt in doubt was charged, and that an overage was looked at."""

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import Role, Team, Transfer, User
from jobs import attempts, queue
from jobs.models import Attempt, Job

MAX_REASON = 400
MAX_CHARGE = 2**53


class ReasonError(ValueError):
    """Every decision says why, in at most 400 characters."""


class NobodyError(Exception):
    """No active user has this address."""


def find_person(email: str) -> User:
    """The one who decides, by e-mail; raises NobodyError."""
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None:
        raise NobodyError(f"Nobody with the address {email} may log in.")
    return user


def may_decide(user: User, team: Team) -> bool:
    """Staff, or somebody who manages the team."""
    if not user.is_active:
        return False
    manages = user.memberships.filter(team=team, role__gte=Role.MANAGER)
    return user.is_staff or user.is_superuser or manages.exists()


@transaction.atomic
def resolve(attempt: Attempt, charged_microcredits: int, actor: User, why: str) -> None:
    """Book what somebody found out about an attempt in doubt: a charge, or 0 for none.

    Raises WrongStateError where it isn't in doubt (any more): of two at once one wins. The job is locked
    first, as in ``queue.owned``, so that two never wait for each other.
    """
    if not 0 <= charged_microcredits < MAX_CHARGE:
        raise ValueError(f"{charged_microcredits} micro-credits can't have been charged")
    why = _reason(why)
    job = Job.objects.select_for_update().get(pk=attempt.job_id)
    attempts.resolve(attempt, charged_microcredits, actor, why)
    # A job waits for its last call alone: an earlier one may be in doubt beside it, by its charge header.
    if not job.attempts.filter(number__gt=attempt.number).exists():
        queue.decided(job, charged=charged_microcredits > 0)


def acknowledge(attempt: Attempt, actor: User, note: str) -> None:
    """Somebody looked at an overage. Raises WrongStateError where it is none, or was looked at before."""
    review = {"reviewed_by": actor, "reviewed_at": timezone.now(), "review_note": _reason(note)}
    overage = Exists(Transfer.objects.filter(hold=OuterRef("hold"), kind=Transfer.Kind.OVERAGE))
    if not Attempt.objects.filter(overage, pk=attempt.pk, reviewed_at=None).update(**review):
        raise attempts.WrongStateError(f"{attempt} is no overage that waits for a look")
    for name, value in review.items():
        setattr(attempt, name, value)


def _reason(text: str) -> str:
    text = text.strip()
    if not 0 < len(text) <= MAX_REASON:
        raise ReasonError(f"A reason of 1 to {MAX_REASON} characters is needed.")
    return text
