"""What it means for the books and for the job that a call brought no result.

A picture from the browser is tried again where that may help. A program's isn't: the program waits on an open
connection, is told at once, and decides itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import InterfaceError, OperationalError

from accounts.ledger.operations import LedgerError
from jobs.calls import attempts
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.queue.claims import Reason
from pixian.client.backoff import STEP_SECONDS
from pixian.client.client import OK
from pixian.protocol import errors

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
ROOM_WAIT_SECONDS = 60
MAX_BOOKING_FAILURES = 3
"""Each a lease apart, and with it perhaps another worker, or a mended one."""

PASSING = (claims.LostLeaseError, OperationalError, InterfaceError)
"""Somebody else has the job, or the database is away: nothing is wrong with the booking."""


@contextmanager
def booking(job: Job, attempt: Attempt) -> Iterator[None]:
    """``queue.owned`` for every step that ends an attempt or takes it on.

    Whatever the database or a bug refuses there would be refused again at each lease, for ever. So it is
    counted on the attempt, and the last time a person gets it, with all that is known of the call.
    """
    try:
        with claims.owned(job):
            yield
    except PASSING:
        raise
    except Exception as error:
        _note_failure(job, attempt, f"{type(error).__name__}: {error}")
        raise


def _note_failure(job: Job, attempt: Attempt, why: str) -> None:
    why = " ".join(why.replace("\0", " ").split())
    with claims.owned(job):
        failures = attempts.note_failure(attempt, why)
        if failures >= MAX_BOOKING_FAILURES:
            attempts.give_up(attempt)
            claims.mark_in_doubt(job, Reason.NOT_BOOKED)
    log.error("a call couldn't be booked", attempt=str(attempt), failures=failures, error=why)


def was_charged(attempt: Attempt) -> bool:
    return bool(attempt.charged_header) and attempt.charged_microcredits != 0


def postpone(
    job: Job, attempt: Attempt, reason: Reason, seconds: int, error: errors.ApiError | None = None
) -> None:
    """Not processed: the same attempt goes again later, its hold stays."""
    with booking(job, attempt):
        attempts.unsend(attempt, error)
        claims.postpone(job, seconds, reason)


def wait_for_room(job: Job, why: str) -> None:
    """The answer is recorded and its body is whole, but can't be stored: the job goes on from there."""
    with claims.owned(job):
        claims.postpone(job, ROOM_WAIT_SECONDS, Reason.RESULT_WAITS)
    # Only now: another worker may have stored the body that this one doesn't find any more.
    log.error("a paid result waits for room on the disk", job=job.pk, error=why)


def fail_without_charge(
    job: Job, attempt: Attempt, reason: Reason, error: errors.ApiError | None = None
) -> None:
    """Not processed, and nobody here tries again: the same request is a new one from now on."""
    with booking(job, attempt):
        attempts.release(attempt, error)
        claims.fail(job, reason)
        _forget(job)


def handle_error_response(job: Job, attempt: Attempt, error: errors.ApiError) -> None:
    """An error answer. A charge is booked if one came, against all expectation."""
    with booking(job, attempt):
        if not was_charged(attempt):
            attempts.release(attempt, error)
        elif attempt.charged_microcredits is None:
            attempts.mark_in_doubt(attempt, error)
        else:
            attempts.book(attempt, error)
        if isinstance(error, errors.Refused | errors.Misdirected):
            claims.fail(job, Reason.REFUSED)
        else:
            out_of_time = isinstance(error, errors.OutOfTime)
            seconds = (error.retry_after or 0) if out_of_time else STEP_SECONDS * attempt.number
            retry(job, Reason.SERVER_FAILED, seconds)
            if not was_charged(attempt):
                _forget(job)


def handle_invalid_result(job: Job, attempt: Attempt, size: int) -> None:
    """A 200 without a picture, of so many bytes: what it charged is booked, and a person looks where it
    doesn't say."""
    message = f"The answer was no picture: {_content_type(attempt)}, {size} bytes."
    error = errors.ServerFailed(OK, 0, message)
    with booking(job, attempt):
        if attempt.charged_microcredits is None:
            attempts.mark_in_doubt(attempt, error)
            claims.mark_in_doubt(job, Reason.NOT_A_PICTURE)
        else:
            attempts.book(attempt, error)
            claims.fail(job, Reason.NOT_A_PICTURE)


def handle_lost_response(job: Job, attempt: Attempt, upstream: Upstream) -> None:
    """The answer, or its body, never reached us. What the headers said is the truth; without headers
    nobody knows it, and a paid call is never repeated by itself."""
    with booking(job, attempt):
        attempt.refresh_from_db()  # a worker that lost its lease may have brought the answer's head meanwhile
        free = not upstream.charges or (attempt.test and not was_charged(attempt))
        if free:
            attempts.release(attempt, memo="interrupted; nobody outside charges for such a call")
            retry(job, Reason.REPEATED, 0)
            _forget(job)
        elif attempt.charged_microcredits is None:
            attempts.mark_in_doubt(attempt)
            claims.mark_in_doubt(job, Reason.UNANSWERED)
        else:
            attempts.book(attempt)
            claims.fail(job, Reason.RESULT_LOST)


def retry(job: Job, reason: Reason, seconds: int) -> None:
    """Another attempt with its own hold, a bounded number of times. Runs inside ``queue.owned``."""
    if job.is_direct:
        claims.fail(job, Reason.PASSED_ON)
        return
    if job.attempts.count() >= MAX_ATTEMPTS:
        claims.fail(job, Reason.GAVE_UP)
        return
    try:
        attempts.prepare(job, job.created_by)
    except LedgerError:
        claims.fail(job, Reason.NO_CREDITS)
    else:
        claims.postpone(job, seconds, reason)


def _forget(job: Job) -> None:
    """Nothing came of a program's request, so that it isn't a repetition if it comes again."""
    if job.is_direct:
        claims.forget_request(job)


def _content_type(attempt: Attempt) -> str:
    """As it came; the headers are recorded by now."""
    return next((value for name, value in attempt.headers if name.lower() == "content-type"), "no type")
