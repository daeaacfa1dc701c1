"""The conductor of one attempt, from the claimed job to the settled ledger.

The order of writes is what makes a crash harmless: *sent* is committed before anything leaves the house,
the answer's headers before its body is read, and the body is on the disk before it is booked. So whoever
claims the job next reads from the rows how far it came.
"""

import time
from collections.abc import Callable
from typing import BinaryIO, cast

import structlog
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import InterfaceError, OperationalError, close_old_connections

from accounts.ledger import LedgerError
from jobs import attempts, files, queue
from jobs.models import Attempt, Job
from jobs.queue import Reason
from jobs.upstream import Upstream
from pixian import errors
from pixian.backoff import STEP_SECONDS, Backoff
from pixian.client import OK, Answer
from pixian.options import Options

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
UNREACHABLE_WAIT_SECONDS = 60
OPERATOR_WAIT_SECONDS = 60
"""Between two looks whether an operator has mended what only an operator can."""
INSIST_SECONDS = 600
INSIST_STEP_SECONDS = 1


def process(job: Job, upstream: Upstream, backoff: Backoff) -> int:
    """Bring a claimed job as far as it goes; raises LostLeaseError where another worker has it.

    Returns the seconds that this thread has to wait before its next call, as the upstream asks.
    """
    attempt = job.last_attempt
    match attempt.state:
        case Attempt.State.PREPARED:
            return _call(job, attempt, upstream, backoff)
        case Attempt.State.SENT:
            _lose(job, attempt, upstream)
        case Attempt.State.ANSWERED:
            return _resume(job, attempt, upstream)
        case _:
            raise attempts.WrongStateError(f"{attempt} has ended, and its job was queued")
    return 0


def _call(job: Job, attempt: Attempt, upstream: Upstream, backoff: Backoff) -> int:
    try:
        upstream.vouch()
        _exchange(job, attempt, upstream)
    except errors.ApiError as error:
        return _answered_no(job, attempt, error, upstream, backoff)
    except errors.Unreachable as error:
        log.warning("the upstream can't be reached", error=str(error))
        return _wait(job, attempt, Reason.UNREACHABLE, min(backoff.refused(), UNREACHABLE_WAIT_SECONDS))
    except (errors.Unanswered, errors.BodyLost):
        _lose(job, attempt, upstream)
    except files.SourceLostError:
        with queue.owned(job):
            attempts.release(attempt)
            queue.fail(job, Reason.SOURCE_LOST)
    except files.NoRoomError as error:
        log.error("no room for a result", error=str(error))  # noqa: TRY400 - the place says nothing
        return _wait(job, attempt, Reason.DISK_FULL, OPERATOR_WAIT_SECONDS)
    else:
        backoff.served()
    return 0


def _exchange(job: Job, attempt: Attempt, upstream: Upstream) -> None:
    """The call itself. The source is opened and room is made for the result first: what is missing here
    must not look like a sent call."""
    with files.opened(job) as picture, files.reserved(job.width * job.height) as body:
        _send(job, attempt)
        call = upstream.client.remove_background(cast("BinaryIO", picture), job.name, Options())
        with call as answer:
            _record(job, attempt, answer)
            if answer.status != OK:
                raise answer.error()
            files.fill(body, answer.stream())
            _keep(job, attempt, body, upstream)


def _send(job: Job, attempt: Attempt) -> None:
    """*Sent* to the database, before anything leaves the house. Where only the confirmation was lost, no call
    was made yet, and the next worker would have to doubt one."""

    def send() -> None:
        with queue.owned(job):
            attempts.send(attempt)

    def is_sent() -> bool:
        with queue.owned(job):  # and so not by another worker
            return attempts.is_sent(attempt)

    _insist(send, is_sent)


def _record(job: Job, attempt: Attempt, answer: Answer) -> None:
    """The headers to the database, however long it is away: they name the charge."""

    def record() -> None:
        with queue.owned(job):
            attempts.answer(attempt, answer)

    _insist(record, lambda: attempts.is_answered(attempt))


def _keep(job: Job, attempt: Attempt, body: TemporaryUploadedFile, upstream: Upstream) -> None:
    """The body to the disk, and only then to the books."""
    try:
        files.check_picture(body)
    except errors.Refused:
        upstream.suspect()
        _spoil(job, attempt, f"The answer was no picture: {_content_type(attempt)}, {body.tell()} bytes.")
        return
    digest, size = files.sha256(body), body.tell()
    name = files.put(files.result_name(job, attempt.number), body)
    try:
        _insist(lambda: _finish(job, attempt, name, digest, size), lambda: queue.is_done(job))
    except queue.LostLeaseError:
        if attempts.has_ended(attempt) and not queue.has_result(job, name):
            default_storage.delete(name)  # given up as lost before it was stored; nobody comes for it
        raise


def _finish(job: Job, attempt: Attempt, name: str, digest: str, size: int) -> None:
    """Book a stored result. Where the charge can't be read, a person looks at the header."""
    with queue.owned(job):
        if attempt.charged_microcredits is None:
            attempts.doubt(attempt)
        else:
            attempts.book(attempt)
        queue.finish(job, name=name, sha256=digest, size=size)


def _insist(step: Callable[[], None], done: Callable[[], bool]) -> None:
    """Commit what would otherwise leave a call or its charge unknown, also while the database restarts.

    done: tells after a failure whether the commit had gone through and only its confirmation was lost.
    """
    end = time.monotonic() + INSIST_SECONDS
    failed = False
    while True:
        try:
            if not (failed and done()):
                step()
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > end:
                raise
            log.warning("the database doesn't answer; a call waits for it", error=str(error).strip())
            failed = True
            close_old_connections()
            time.sleep(INSIST_STEP_SECONDS)
        else:
            return


def _resume(job: Job, attempt: Attempt, upstream: Upstream) -> int:
    """An answer was recorded, and the process died before it was dealt with."""
    name = files.result_name(job, attempt.number)
    if attempt.status != OK:
        error = errors.from_answer(attempt.status or 0, None, f"The answer was HTTP {attempt.status}.")
        return _answered_no(job, attempt, error, upstream, Backoff())
    if files.is_whole(name):
        with default_storage.open(name) as file:
            _finish(job, attempt, name, files.sha256(file), file.size)
    else:
        _lose(job, attempt, upstream)
        default_storage.delete(name)
    return 0


NOT_PROCESSED = {
    errors.SlowDown: Reason.SLOW_DOWN,
    errors.AccountRefused: Reason.ACCOUNT,
    errors.Misdirected: Reason.NOT_PIXIAN,
}


def _answered_no(
    job: Job, attempt: Attempt, error: errors.ApiError, upstream: Upstream, backoff: Backoff
) -> int:
    """Wait where the picture wasn't looked at; else the answer is about the picture, or the last of this
    attempt."""
    if isinstance(error, errors.GatewayTimedOut) and not _was_charged(attempt):
        _lose(job, attempt, upstream)
        return 0
    reason = NOT_PROCESSED.get(type(error))
    if reason is None or _was_charged(attempt):
        _turn_down(job, attempt, error)
        return 0
    if reason is Reason.SLOW_DOWN:
        return _wait(job, attempt, reason, backoff.refused(error.retry_after), error)
    log.error("calls wait for an operator", reason=reason.value, upstream=str(error))
    upstream.suspect()
    return _wait(job, attempt, reason, OPERATOR_WAIT_SECONDS, error)


def _was_charged(attempt: Attempt) -> bool:
    return bool(attempt.charged_header) and attempt.charged_microcredits != 0


def _wait(
    job: Job, attempt: Attempt, reason: Reason, seconds: int, error: errors.ApiError | None = None
) -> int:
    """Not processed: the same attempt goes again later, its hold stays."""
    with queue.owned(job):
        attempts.unsend(attempt, error)
        queue.postpone(job, seconds, reason)
    return seconds


def _turn_down(job: Job, attempt: Attempt, error: errors.ApiError) -> None:
    """An error answer. A charge is booked if one came, against all expectation."""
    with queue.owned(job):
        if not _was_charged(attempt):
            attempts.release(attempt, error)
        elif attempt.charged_microcredits is None:
            attempts.doubt(attempt, error)
        else:
            attempts.book(attempt, error)
        if isinstance(error, errors.Refused | errors.Misdirected):
            queue.fail(job, Reason.REFUSED)
        else:
            _try_again(job, Reason.SERVER_FAILED, STEP_SECONDS * attempt.number)


def _spoil(job: Job, attempt: Attempt, message: str) -> None:
    """A 200 without a picture: what it charged is booked, and a person looks where it doesn't say."""
    error = errors.ServerFailed(OK, 0, message)
    with queue.owned(job):
        if attempt.charged_microcredits is None:
            attempts.doubt(attempt, error)
            queue.doubt(job, Reason.NOT_A_PICTURE)
        else:
            attempts.book(attempt, error)
            queue.fail(job, Reason.NOT_A_PICTURE)


def _lose(job: Job, attempt: Attempt, upstream: Upstream) -> None:
    """The answer, or its body, never reached us. What the headers said is the truth; without headers
    nobody knows it, and a paid call is never repeated by itself."""
    with queue.owned(job):
        if not upstream.charges:
            attempts.release(attempt, memo="interrupted; the embedded engine charges nobody outside")
            _try_again(job, Reason.REPEATED, 0)
        elif attempt.charged_microcredits is None:
            attempts.doubt(attempt)
            queue.doubt(job, Reason.UNANSWERED)
        else:
            attempts.book(attempt)
            queue.fail(job, Reason.RESULT_LOST)


def _try_again(job: Job, reason: Reason, seconds: int) -> None:
    """Another attempt with its own hold, a bounded number of times. Runs inside ``queue.owned``."""
    if job.attempts.count() >= MAX_ATTEMPTS:
        queue.fail(job, Reason.GAVE_UP)
        return
    try:
        attempts.prepare(job, job.created_by)
    except LedgerError:
        queue.fail(job, Reason.NO_CREDITS)
    else:
        queue.postpone(job, seconds, reason)


def _content_type(attempt: Attempt) -> str:
    """As it came; the headers are recorded by now."""
    return next((value for name, value in attempt.headers if name.lower() == "content-type"), "no type")
