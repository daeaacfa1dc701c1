"""Take people's reports that a result is bad, and answer them: refunded, or declined with a reason."""

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action, checked_reason
from accounts.credits.adjustments import WaitingError
from accounts.models import Adjustment, User
from jobs.audit import giving_back
from jobs.models import Attempt, BadResult, Job

Answer = BadResult.Answer


class NoResultError(Exception):
    """The picture isn't finished, so there is nothing to report."""


class AlreadyReportedError(Exception):
    """A report of this result waits for an answer."""


class AlreadyAnsweredError(Exception):
    """Someone else answered the report. Nothing was changed."""


def report(job: Job, user: User, note: str) -> BadResult:
    """Report a finished result as bad; raise NoResultError, AlreadyReportedError or ReasonError."""
    note = checked_reason(note)
    try:
        with transaction.atomic():
            locked = Job.objects.select_for_update(no_key=True)  # nobody erases it meanwhile
            if not locked.filter(pk=job.pk, state=Job.State.DONE, erased_at=None).exists():
                raise NoResultError(str(job.pk))
            return BadResult.objects.create(job=job, reported_by=user, note=note)
    except IntegrityError as error:  # ``bad_result_once``
        raise AlreadyReportedError(str(job.pk)) from error


def paid_attempt(job: Job) -> Attempt | None:
    """Return the call that the result came from; None if it came from an earlier job, at 0 credits."""
    booked = job.attempts.select_related("hold").filter(state=Attempt.State.BOOKED)
    return booked.order_by("-number").first()


def waiting(report: BadResult) -> Adjustment | None:
    """Return the refund of the result's charge that waits for a second person; None if none does."""
    attempt = paid_attempt(report.job)
    proposed = giving_back.waiting(attempt) if attempt else None
    return proposed if proposed and proposed.kind == Adjustment.Kind.REFUND else None


@transaction.atomic
def refund(report: BadResult, microcredits: int, actor: User, reason: str) -> Adjustment | None:
    """Refund the result's charge, or a part; return the adjustment if that waits for a second person.

    The report is answered once the credits are given back. Raises AlreadyAnsweredError, and what
    ``giving_back.refund`` raises.
    """
    _lock(report)
    attempt = paid_attempt(report.job)
    if attempt is None:
        raise giving_back.TooMuchError(0)
    proposed = giving_back.refund(attempt, microcredits, actor, reason)
    if proposed is None:
        _answer(report, Answer.REFUNDED, actor, checked_reason(reason))
    return proposed


@transaction.atomic
def decline(report: BadResult, actor: User, reason: str) -> None:
    """Answer that nothing is given back, and why.

    Raises AlreadyAnsweredError, ReasonError, and WaitingError while a second person has still to say if
    something is: the report would read as declined, and the credits come back all the same.
    """
    reason = checked_reason(reason)
    _lock(report)
    if waiting(report):
        raise WaitingError(str(report.pk))
    _answer(report, Answer.DECLINED, actor, reason)


def follow_refund(attempt: Attempt, actor: User, reason: str) -> None:
    """Answer the open report of an attempt's result, if there is one, now that its charge is refunded."""
    report = (
        BadResult.objects.select_related("job__team").filter(job=attempt.job_id, answered_at=None).first()
    )
    if report:
        _answer(report, Answer.REFUNDED, actor, reason)


def _lock(report: BadResult) -> None:
    """Lock the job, then look if the report is still open."""
    Job.objects.select_for_update().get(pk=report.job_id)
    if not BadResult.objects.filter(pk=report.pk, answered_at=None).exists():
        raise AlreadyAnsweredError(str(report.pk))


def _answer(report: BadResult, answer: BadResult.Answer, actor: User, reason: str) -> None:
    values = {"answer": answer, "answered_by": actor, "answered_at": timezone.now(), "reason": reason}
    # One conditional UPDATE: of two answers at once, only one finds the report open.
    if not BadResult.objects.filter(pk=report.pk, answered_at=None).update(**values):
        raise AlreadyAnsweredError(str(report.pk))
    for name, value in values.items():
        setattr(report, name, value)
    audit_log.record(
        Action.ANSWER_REPORT,
        f"report:{report.pk}",
        actor=actor,
        team=report.job.team,
        reason=reason,
        before={"state": "reported", "note": report.note},
        after={"state": answer.value, "job": report.job_id},
    )
