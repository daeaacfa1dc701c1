"""Give a team credits back for a call: refund a charge, or write off what was charged above the hold.

Each happens once for a call. Above ``SECOND_REVIEW_CREDITS``, or if the person who asks doesn't run the site,
it waits for a second person (``accounts.credits.adjustments``).
"""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from accounts.credits import adjustments
from accounts.credits.adjustments import Change
from accounts.models import Adjustment, Transfer, User
from jobs.models import Attempt, Job

Kind = Adjustment.Kind


class TooMuchError(ValueError):
    """More would be given back than was booked for the call. left_microcredits: what still can be."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} micro-credits are left to give back")
        self.left_microcredits = left


@dataclass(frozen=True)
class Given:
    """Sums of a call in micro-credits: booked, and given back since. excess: booked above the hold.

    waiting: what a second person has still to agree to.
    """

    booked: int
    excess: int
    refunded: int
    written_off: int
    waiting: int

    @property
    def left(self) -> int:
        return self.booked - self.refunded - self.written_off - self.waiting

    @property
    def may_refund(self) -> bool:
        return self.left > 0 and not self.refunded

    @property
    def may_write_off(self) -> bool:
        return 0 < self.excess <= self.left and not self.written_off


def given(attempt: Attempt) -> Given:
    """Return what was booked for the attempt and given back; a test was booked to nobody."""
    if attempt.hold_id is None:
        return Given(0, 0, 0, 0, 0)
    ended = Transfer.objects.filter(hold=attempt.hold_id, kind__in=Transfer.BOOKINGS)
    booked = dict(ended.values_list("kind", "amount_microcredits"))
    return Given(
        booked=sum(booked.values()),
        excess=booked.get(Transfer.Kind.OVERAGE, 0),
        refunded=_posted(refund_key(attempt)),
        written_off=_posted(write_off_key(attempt)),
        waiting=_waiting(attempt).aggregate(all=Sum("microcredits"))["all"] or 0,
    )


def waiting(attempt: Attempt) -> Adjustment | None:
    """Return the refund or write-off of the call that waits for a second person, if there is one."""
    return _waiting(attempt).select_related("asked_by").first()


@transaction.atomic
def refund(attempt: Attempt, microcredits: int, actor: User, reason: str) -> Adjustment | None:
    """Give a charge back, all or a part; return the adjustment if that waits for a second person.

    Raises TooMuchError beyond what was booked, DuplicateKeyError if the call was refunded before,
    WaitingError if that waits already, and ReasonError.
    """
    return _give(attempt, Kind.REFUND, microcredits, refund_key(attempt), actor, reason)


@transaction.atomic
def write_off(attempt: Attempt, actor: User, reason: str) -> Adjustment | None:
    """Give back what was charged above the hold; raises what ``refund`` raises."""
    excess = given(attempt).excess
    if not excess:
        raise TooMuchError(0)
    return _give(attempt, Kind.WRITE_OFF, excess, write_off_key(attempt), actor, reason)


def refund_key(attempt: Attempt) -> str:
    return f"refund:{attempt.pk}"


def write_off_key(attempt: Attempt) -> str:
    return f"writeoff:{attempt.hold_id}"


def attempt_of(adjustment: Adjustment) -> Attempt | None:
    """Return the call that a refund or a write-off is for; None for a correction."""
    attempts = Attempt.objects.select_related("job__team", "hold")
    match adjustment.key.split(":"):
        case ["refund", attempt]:
            return attempts.filter(pk=int(attempt)).first()
        case ["writeoff", hold]:
            return attempts.filter(hold=int(hold)).first()
    return None


def _give(
    attempt: Attempt, kind: Adjustment.Kind, microcredits: int, key: str, actor: User, reason: str
) -> Adjustment | None:
    # The job is locked first, as everywhere, so that a refund and a write-off at once don't both fit.
    job = Job.objects.select_for_update(of=("self",)).select_related("team").get(pk=attempt.job_id)
    reference = attempt.hold.reference if attempt.hold else ""
    subject = f"attempt:{attempt.pk}"
    change = Change(job.team, kind, microcredits, reason, key, reference, subject)
    made = adjustments.make(change, actor, alone=actor.is_staff)
    after = given(attempt)
    if after.left < 0:  # and all of it is undone
        raise TooMuchError(after.left + microcredits)
    return made


def _waiting(attempt: Attempt) -> QuerySet[Adjustment]:
    return Adjustment.objects.waiting().filter(key__in=[refund_key(attempt), write_off_key(attempt)])


def _posted(key: str) -> int:
    """Return what was posted with this key, including the part that covered what the team owed."""
    parts = Transfer.objects.filter(Q(idempotency_key=key) | Q(idempotency_key=f"{key}:covers"))
    return parts.aggregate(all=Sum("amount_microcredits"))["all"] or 0
