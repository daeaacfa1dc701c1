"""The conductor of one attempt, from the claimed job to the settled ledger.

The order of writes is what makes a crash harmless: *sent* is committed before anything leaves the house,
the answer's headers before its body is read, and the body is on the disk before it is booked. So whoever
claims the job next reads from the rows how far it came.
"""

from typing import BinaryIO, cast

from django.core.files.storage import default_storage

from accounts.ledger import LedgerError
from jobs import attempts, files, queue
from jobs.models import Attempt, Job
from jobs.queue import Reason
from jobs.upstream import Upstream
from pixian import errors
from pixian.backoff import STEP_SECONDS, Backoff
from pixian.client import Answer
from pixian.options import Options

MAX_ATTEMPTS = 3
OK = 200
SLOW_DOWN = 429
UNREACHABLE_WAIT_SECONDS = 60


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
            _resume(job, attempt, upstream)
        case _:
            raise attempts.WrongStateError(f"{attempt} has ended, and its job was queued")
    return 0


def _call(job: Job, attempt: Attempt, upstream: Upstream, backoff: Backoff) -> int:
    try:
        _exchange(job, attempt, upstream)
    except errors.SlowDown as error:
        return _wait(job, attempt, Reason.SLOW_DOWN, backoff.refused(error.retry_after))
    except errors.Unreachable:
        wait = min(backoff.refused(), UNREACHABLE_WAIT_SECONDS)
        return _wait(job, attempt, Reason.UNREACHABLE, wait)
    except errors.ApiError as error:
        _turn_down(job, attempt, error)
    except (errors.Unanswered, errors.BodyLost):
        _lose(job, attempt, upstream)
    except FileNotFoundError:
        with queue.owned(job):
            attempts.release(attempt)
            queue.fail(job, Reason.SOURCE_LOST)
    else:
        backoff.served()
    return 0


def _exchange(job: Job, attempt: Attempt, upstream: Upstream) -> None:
    """The call itself. The source is opened first: a missing one must not look like a sent call."""
    with job.source.open("rb") as picture:
        with queue.owned(job):
            attempts.send(attempt)
        call = upstream.client.remove_background(cast("BinaryIO", picture), job.name, Options())
        with call as answer:
            with queue.owned(job):
                attempts.answer(attempt, answer)
            if answer.status != OK:
                raise answer.error()
            _keep(job, attempt, answer)


def _keep(job: Job, attempt: Attempt, answer: Answer) -> None:
    """The body to the disk, and only then to the books."""
    with files.spool(answer.stream()) as body:
        digest, size = files.sha256(body), body.tell()
        name = files.put(files.result_name(job, attempt.number), body)
    _finish(job, attempt, name, digest, size)


def _finish(job: Job, attempt: Attempt, name: str, digest: str, size: int) -> None:
    """Book a stored result. Where the charge can't be read, a person looks at the header."""
    with queue.owned(job):
        if attempt.charged_microcredits is None:
            attempts.doubt(attempt)
        else:
            attempts.book(attempt)
        queue.finish(job, name=name, sha256=digest, size=size)


def _resume(job: Job, attempt: Attempt, upstream: Upstream) -> None:
    """An answer was recorded, and the process died before it was dealt with."""
    name = files.result_name(job, attempt.number)
    if attempt.status == SLOW_DOWN:
        _wait(job, attempt, Reason.SLOW_DOWN, STEP_SECONDS)
    elif attempt.status != OK:
        fallback = f"The answer was HTTP {attempt.status}."
        _turn_down(job, attempt, errors.from_answer(attempt.status or 0, None, fallback))
    elif default_storage.exists(name):
        with default_storage.open(name) as file:
            _finish(job, attempt, name, files.sha256(file), file.size)
    else:
        _lose(job, attempt, upstream)


def _wait(job: Job, attempt: Attempt, reason: Reason, seconds: int) -> int:
    """Not processed: the same attempt goes again later, its hold stays."""
    with queue.owned(job):
        attempts.unsend(attempt)
        queue.postpone(job, seconds, reason)
    return seconds


def _turn_down(job: Job, attempt: Attempt, error: errors.ApiError) -> None:
    """An error answer. A charge is booked if one came, against all expectation."""
    with queue.owned(job):
        if not attempt.charged_header or attempt.charged_microcredits == 0:
            attempts.release(attempt, error)
        elif attempt.charged_microcredits is None:
            attempts.doubt(attempt)
        else:
            attempts.book(attempt, error)
        if isinstance(error, errors.Refused):
            queue.fail(job, Reason.REFUSED)
        else:
            _try_again(job, Reason.SERVER_FAILED, STEP_SECONDS * attempt.number)


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
