"""Book a call that brought no result, and move its job on, as ``jobs.calls.decisions`` says.

A picture from the browser is tried again if that may help. A program's isn't: the program waits on an open
connection, gets the error at once, and decides for itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings

from accounts.ledger.operations import LedgerError
from jobs.calls import attempts, decisions
from jobs.calls.decisions import Charge, Decision, Hold, Next
from jobs.calls.upstream import Upstream
from jobs.connections import DATABASE_AWAY
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.queue.claims import Reason
from pixian.client.backoff import STEP_SECONDS
from pixian.client.client import OK
from pixian.protocol import errors

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
ROOM_WAIT_SECONDS = 60
MAX_BOOKING_FAILURES = 3  # a lease apart, so perhaps by another worker, or one that was repaired
REPEATED_MEMO = "interrupted; nobody outside charges for such a call"


@contextmanager
def counting_failures(job: Job, attempt: Attempt) -> Iterator[None]:
    """Count a step that the database or a bug refuses, and give the attempt up after the last one.

    The same step would be refused again at each lease, for ever. A person gets the attempt then, with all
    that is known of the call. A lost lease, or a database that doesn't answer, says nothing against the
    step.
    """
    before = dict(attempt.__dict__)
    try:
        yield
    except Exception as error:
        attempt.__dict__.update(before)  # the step was undone, and may be taken again
        if not isinstance(error, (claims.LostLeaseError, *DATABASE_AWAY)):
            _note_failure(job, attempt, f"{type(error).__name__}: {error}")
        raise


@contextmanager
def booking(job: Job, attempt: Attempt) -> Iterator[None]:
    """Open the transaction of a step that ends an attempt or takes it on; the job is surely ours in it."""
    with counting_failures(job, attempt), claims.owned(job):
        yield


def _note_failure(job: Job, attempt: Attempt, why: str) -> None:
    why = " ".join(why.replace("\0", " ").split())
    with claims.owned(job):
        failures = attempts.note_failure(attempt, why)
        if failures >= MAX_BOOKING_FAILURES:
            attempts.give_up(attempt)
            claims.mark_in_doubt(job, Reason.NOT_BOOKED)
    log.error("a call couldn't be booked", attempt=str(attempt), failures=failures, error=why)


def charge_of(attempt: Attempt) -> Charge:
    """Return the charge that the recorded answer names."""
    return Charge.of(attempt.charged_header, attempt.charged_microcredits)


def decide(attempt: Attempt, error: Exception, upstream: Upstream) -> Decision:
    """Return what an error means for this attempt; raises the error itself if it is none of a call's."""
    return decisions.decide(error, charge_of(attempt), test=attempt.test, billed=upstream.charges)


def report(decision: Decision, error: Exception, upstream: Upstream) -> None:
    """Log what an operator may have to act on, and distrust an upstream that made no sense."""
    match decision.reason:
        case Reason.ACCOUNT | Reason.NOT_PIXIAN:
            log.error("calls wait for an operator", reason=decision.reason.value, upstream=str(error))
            upstream.mark_unverified()
        case Reason.UNREACHABLE:
            log.warning("the upstream can't be reached", error=str(error))
        case Reason.DISK_FULL:
            log.error("no room for a result", error=str(error))
        case Reason.STORAGE:
            log.error("the storage can't be used", error=str(error))
        case Reason.SOURCE_LOST:
            log.error("a source is gone from the storage", error=str(error))


def postpone(
    job: Job, attempt: Attempt, reason: Reason, seconds: int, error: errors.ApiError | None = None
) -> None:
    """Send the same attempt again later: it wasn't processed, and its hold stays."""
    with booking(job, attempt):
        attempts.unsend(attempt, error)
        claims.postpone(job, seconds, reason)


def wait_for_room(job: Job, why: str) -> None:
    """Postpone storing a result whose answer is recorded and whose body is whole."""
    with claims.owned(job):
        claims.postpone(job, ROOM_WAIT_SECONDS, Reason.RESULT_WAITS)
    # Logged only now: another worker may have stored the body that this one no longer finds.
    log.error("a paid result waits to be stored", job=job.pk, error=why)


def put_back(job: Job) -> None:
    """Let a job that failed in an unexpected way wait behind the others, unless its call was made.

    Otherwise it would be the first again, and with it a call's place would be taken for a whole lease. What
    was sent, and what a program waits for, is dealt with once the lease has run out.
    """
    with claims.owned(job):
        if not job.is_direct and job.attempts.latest("number").state == Attempt.State.PREPARED:
            claims.postpone(job, settings.LEASE_SECONDS, Reason.SERVER_FAILED)


def fail_without_charge(
    job: Job, attempt: Attempt, reason: Reason, error: errors.ApiError | None = None
) -> None:
    """Fail a job that wasn't processed and isn't tried again; the same request is a new one from now on."""
    with booking(job, attempt):
        attempts.release(attempt, error)
        claims.fail(job, reason)
        _forget(job)


def handle_error_response(job: Job, attempt: Attempt, decision: Decision, error: errors.ApiError) -> None:
    """Book an error response. Against all expectation it may name a charge."""
    out_of_time = isinstance(error, errors.OutOfTime)
    seconds = (error.retry_after or 0) if out_of_time else STEP_SECONDS * attempt.number
    with booking(job, attempt):
        end(job, attempt, decision, error, seconds=seconds)


def handle_invalid_result(job: Job, attempt: Attempt, size: int) -> None:
    """Book a 200 whose body of this many bytes is no picture."""
    message = f"The answer was no picture: {_content_type(attempt)}, {size} bytes."
    with booking(job, attempt):
        decision = decisions.decide_invalid(charge_of(attempt))
        end(job, attempt, decision, errors.ServerFailed(OK, 0, message))


def handle_lost_response(job: Job, attempt: Attempt, upstream: Upstream) -> None:
    """Book a call whose answer or body never reached us, by what its recorded headers say."""
    with booking(job, attempt):
        # A worker that lost its lease may have recorded the answer's head meanwhile.
        attempt.refresh_from_db()
        decision = decide(attempt, errors.Unanswered(), upstream)
        end(job, attempt, decision, memo=REPEATED_MEMO if decision.hold is Hold.RELEASE else "")


def end(
    job: Job,
    attempt: Attempt,
    decision: Decision,
    error: errors.ApiError | None = None,
    *,
    seconds: int = 0,
    memo: str = "",
) -> None:
    """End the attempt and move the job on as decided. Runs inside ``booking``.

    seconds: until another attempt may begin. memo: for the transfer that gives the hold back.
    """
    resolve_hold(attempt, decision.hold, error, memo)
    match decision.next:
        case Next.FAIL:
            claims.fail(job, decision.reason)
        case Next.REVIEW:
            claims.mark_in_doubt(job, decision.reason)
        case Next.RETRY:
            retry(job, decision.reason, seconds)
            if decision.hold is Hold.RELEASE:
                _forget(job)


def resolve_hold(attempt: Attempt, hold: Hold, error: errors.ApiError | None = None, memo: str = "") -> None:
    """End the attempt by what becomes of its hold."""
    match hold:
        case Hold.RELEASE:
            attempts.release(attempt, error, memo=memo)
        case Hold.SETTLE:
            attempts.book(attempt, error)
        case Hold.DISPUTE:
            attempts.mark_in_doubt(attempt, error)


def retry(job: Job, reason: Reason, seconds: int) -> None:
    """Prepare another attempt with its own hold, a bounded number of times. Runs inside ``claims.owned``."""
    if job.is_direct:
        claims.fail(job, Reason.PASSED_ON)
        return
    if job.attempts.count() >= MAX_ATTEMPTS:
        claims.fail(job, Reason.GAVE_UP)
        return
    try:
        attempts.prepare(job, job.paid_by)
    except LedgerError:
        claims.fail(job, Reason.NO_CREDITS)
    else:
        claims.postpone(job, seconds, reason)


def _forget(job: Job) -> None:
    # Nothing came of a program's request, so it isn't a repetition if it comes again.
    if job.is_direct:
        claims.forget_request(job)


def _content_type(attempt: Attempt) -> str:
    return next((value for name, value in attempt.headers if name.lower() == "content-type"), "no type")
