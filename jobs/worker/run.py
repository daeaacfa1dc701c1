"""The conductor of one attempt in a worker, from the claimed job to the settled ledger.

``jobs.calls.execute`` makes the call, ``jobs.calls.outcomes`` books what came of it; here it is decided
which, and how long this thread waits. (A program's call has a conductor of its own, ``jobs.calls.streaming``;
what is left of it after a crash is brought to its end here.)
"""

from datetime import timedelta

import structlog
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs.calls import attempts, outcomes
from jobs.calls.execute import book_result, execute, store_result
from jobs.calls.upstream import Upstream
from jobs.connections import give_back
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.queue.claims import Reason
from jobs.storage import disk_space, files, leftovers, quarantine, spool
from jobs.storage.spool import ResultFile
from pixian.client.backoff import Backoff
from pixian.client.client import OK
from pixian.protocol import errors

log = structlog.get_logger(__name__)

UNREACHABLE_WAIT_SECONDS = 60
OPERATOR_WAIT_SECONDS = 60
"""Between two looks whether an operator has mended what only an operator can."""

RESULT_WAITS_AT_MOST = timedelta(days=1)


def process(job: Job, upstream: Upstream, backoff: Backoff) -> int:
    """Bring a claimed job as far as it goes; raises LostLeaseError where another worker has it.

    Returns the seconds that this thread has to wait before its next call, as the upstream asks.
    """
    attempt = job.last_attempt
    match attempt.state:
        case Attempt.State.PREPARED if job.is_direct:
            outcomes.fail_without_charge(
                job, attempt, Reason.INTERRUPTED
            )  # whoever wanted it has been cut off
        case Attempt.State.PREPARED:
            return _call(job, attempt, upstream, backoff)
        case Attempt.State.SENT:
            outcomes.handle_lost_response(job, attempt, upstream)
        case Attempt.State.ANSWERED:
            return _resume(job, attempt, upstream)
        case _:
            raise attempts.WrongStateError(f"{attempt} has ended, and its job was queued")
    return 0


def _call(job: Job, attempt: Attempt, upstream: Upstream, backoff: Backoff) -> int:
    give_back()  # the connection, since the upstream may keep this thread waiting
    try:
        upstream.ensure_verified()
        execute(job, attempt, upstream)
    except errors.ApiError as error:
        return _answered_no(job, attempt, error, upstream, backoff)
    except errors.Unreachable as error:
        log.warning("the upstream can't be reached", error=str(error))
        return _wait(job, attempt, Reason.UNREACHABLE, min(backoff.refused(), UNREACHABLE_WAIT_SECONDS))
    except (errors.Unanswered, errors.BodyLost):
        outcomes.handle_lost_response(job, attempt, upstream)
    except files.SourceLostError:
        with outcomes.booking(job, attempt):
            attempts.release(attempt)
            claims.fail(job, Reason.SOURCE_LOST)
    except disk_space.InsufficientStorageError as error:
        log.error("no room for a result", error=str(error))  # noqa: TRY400 - the place says nothing
        return _wait(job, attempt, Reason.DISK_FULL, OPERATOR_WAIT_SECONDS)
    except files.NotStoredError as error:
        outcomes.wait_for_room(job, str(error))
    else:
        backoff.served()
    return 0


def _resume(job: Job, attempt: Attempt, upstream: Upstream) -> int:
    """An answer was recorded, and the process died before it was dealt with."""
    name = files.result_name(job, attempt.number)
    if attempt.status != OK:
        error = errors.from_response(attempt.status or 0, None)
        return _answered_no(job, attempt, error, upstream, Backoff())
    if files.is_complete(name):
        with default_storage.open(name) as file:
            book_result(job, attempt, name, files.sha256(file), file.size)
    elif body := leftovers.find(job, attempt):
        _store(job, attempt, body, upstream)
    elif job.reason == Reason.RESULT_WAITS and not _is_over(attempt):
        outcomes.wait_for_room(job, "the result lies on another machine")
    else:
        outcomes.handle_lost_response(job, attempt, upstream)
        quarantine.set_aside(name)
    return 0


def _store(job: Job, attempt: Attempt, body: ResultFile, upstream: Upstream) -> None:
    """Go on from a body that was left in the spool."""
    body.is_wanted = True
    with spool.held(body):
        try:
            store_result(job, attempt, body, upstream)
        except files.NotStoredError as error:
            outcomes.wait_for_room(job, str(error))


def _is_over(attempt: Attempt) -> bool:
    """Whether nobody has found the result for so long that nobody will."""
    return timezone.now() - (attempt.answered_at or timezone.now()) > RESULT_WAITS_AT_MOST


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
    if isinstance(error, errors.GatewayTimedOut) and not outcomes.was_charged(attempt):
        outcomes.handle_lost_response(job, attempt, upstream)
        return 0
    reason = NOT_PROCESSED.get(type(error))
    if reason is None or outcomes.was_charged(attempt):
        outcomes.handle_error_response(job, attempt, error)
        return 0
    if reason is Reason.SLOW_DOWN:
        return _wait(job, attempt, reason, backoff.refused(error.retry_after), error)
    log.error("calls wait for an operator", reason=reason.value, upstream=str(error))
    upstream.mark_unverified()
    return _wait(job, attempt, reason, OPERATOR_WAIT_SECONDS, error)


def _wait(
    job: Job, attempt: Attempt, reason: Reason, seconds: int, error: errors.ApiError | None = None
) -> int:
    if job.is_direct:
        outcomes.fail_without_charge(job, attempt, Reason.INTERRUPTED, error)
        return 0
    outcomes.postpone(job, attempt, reason, seconds, error)
    return seconds
