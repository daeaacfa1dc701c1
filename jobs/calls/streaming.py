"""The conductor of a program's call, and the pipe through which the program gets the answer while it comes.

The call runs in a thread of its own, which books it at the upstream's pace: neither a program that reads
slowly nor one that hangs up holds up the books. The request's thread reads along from the file that the
result is written to. It gives away the last byte once all is stored and booked, so that whoever has the whole
answer can rely on it.
"""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import structlog
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import close_old_connections

from jobs.calls import attempts, outcomes, responses
from jobs.calls.execute import Listener, execute
from jobs.calls.upstream import Upstream
from jobs.connections import give_back
from jobs.models import Attempt, Job
from jobs.queue import claims, concurrency
from jobs.queue.heartbeat import Heartbeat
from jobs.storage import disk_space, files
from pixian.client.backoff import Backoff
from pixian.client.client import Answer
from pixian.protocol import errors

log = structlog.get_logger(__name__)

CHUNK_BYTES = 65_536
MOST_CALLS = 1_000
SENT_AGAIN = 2  # where the upstream had too little time left to begin
"""Threads; how many calls there are is bounded where requests come in."""


class StreamedCall(Listener):
    """One call on its way. ``headers`` are a 200's, once ``wait`` has returned; ``error`` what there is to
    tell instead of a result."""

    def __init__(self, job: Job, attempt: Attempt, upstream: Upstream, until: float) -> None:
        """until: on the monotonic clock, how long an upstream's 429 is waited out."""
        self.headers: dict[str, str] | None = None
        self.error: errors.ApiError | None = None
        self._job = job
        self._attempt = attempt
        self._upstream = upstream
        self._until = until
        self._changed = threading.Condition()
        self._descriptor = -1
        self._size = 0
        self._ended = False

    def start(self) -> None:
        _threads().submit(self._run)

    def wait(self) -> None:
        """Until a 200's headers are here, or the call has ended without."""
        give_back()  # the connection: the call's own thread needs one
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.headers is not None)

    @property
    def has_ended(self) -> bool:
        with self._changed:
            return self._ended

    def wait_for_end(self, seconds: float) -> None:
        """Wait until the call has ended, for so long at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended, seconds)

    def finish(self) -> None:
        """Until the call has ended: its result is stored and booked, or there is an error."""
        give_back()  # as in ``wait``
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
        if self.headers is not None:
            os.close(self._descriptor)

    def body(self) -> "Body":
        """The result as it comes, once there are headers."""
        return Body(self, self._descriptor)

    def on_headers(self, answer: Answer, body: TemporaryUploadedFile) -> None:
        descriptor = os.open(body.temporary_file_path(), os.O_RDONLY)
        with self._changed:
            self._descriptor = descriptor
            self.headers = responses.of_result(self._job, answer.headers)
            self._changed.notify_all()

    def on_progress(self, size: int) -> None:
        with self._changed:
            self._size = size
            self._changed.notify_all()

    def readable(self, sent: int) -> int:
        """Up to which byte may be read, once that is further than ``sent`` or the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._size - 1 > sent)
            size = self._size if self._ended and not self.error else self._size - 1
            return min(max(size, sent), sent + CHUNK_BYTES)

    def _run(self) -> None:
        error: errors.ApiError | None = responses.unknown()
        try:
            with leases().held(self._job):
                error = _conduct(self._job, self._attempt, self._upstream, self._until, self)
        except claims.LostLeaseError:
            log.warning("lease lost, a worker has the job", job=self._job.pk)
        except Exception:
            # The lease runs out, and a worker brings the job to its end by what its rows say.
            log.exception("a program's call failed in an unexpected way", job=self._job.pk)
        finally:
            close_old_connections()
            concurrency.line.look()
            with self._changed:
                self.error, self._ended = error, True
                self._changed.notify_all()


class Body:
    """Of an answer, in chunks. Raises BodyLost where it doesn't come whole."""

    def __init__(self, call: StreamedCall, descriptor: int) -> None:
        self._call = call
        self._descriptor = descriptor
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        size = self._call.readable(self._sent) - self._sent
        if chunk := os.pread(self._descriptor, size, self._sent):
            self._sent += len(chunk)
            return chunk
        if self._call.error:
            raise errors.BodyLost(str(self._call.error))
        raise StopIteration

    def close(self) -> None:
        """Also where nobody has read it: whoever serves it calls this at the end."""
        os.close(self._descriptor)


def _conduct(
    job: Job, attempt: Attempt, upstream: Upstream, until: float, listener: Listener
) -> errors.ApiError | None:
    """Bring the job to its end; returns what the program is told instead of a result."""
    backoff, out_of_time = Backoff(), 0
    while True:
        try:
            upstream.ensure_verified()
            execute(job, attempt, upstream, listener)
        except (errors.SlowDown, errors.OutOfTime) as error:
            if outcomes.was_charged(attempt):
                return _turn_down(job, attempt, error)
            out_of_time += isinstance(error, errors.OutOfTime)
            seconds = _pause(error, backoff)
            if out_of_time > SENT_AGAIN or time.monotonic() + seconds > until:
                told = type(error)(error.status, error.code, error.message, retry_after=seconds or None)
                return _pass_on(job, attempt, told)
            with outcomes.booking(job, attempt):
                attempts.unsend(attempt, error)
            give_back()  # the connection meanwhile
            time.sleep(seconds)
        except FAILURES as error:
            return _tell(job, attempt, error, upstream)
        else:
            return responses.of(job)


def _pause(error: errors.ApiError, backoff: Backoff) -> int:
    """Return the seconds before the same call goes again. Having been too late is no reason to slow down."""
    if isinstance(error, errors.OutOfTime):
        return error.retry_after or 0
    return backoff.refused(error.retry_after)


FAILURES = (
    errors.PixianError,
    disk_space.InsufficientStorageError,
    files.NotStoredError,
    files.SourceLostError,
)


def _tell(job: Job, attempt: Attempt, error: Exception, upstream: Upstream) -> errors.ApiError | None:
    """Book what came instead of a result, and say it."""
    match error:
        case errors.ApiError() if outcomes.was_charged(attempt):
            return _turn_down(job, attempt, error)
        case errors.AccountRefused() | errors.Misdirected():
            log.error("calls wait for an operator", upstream=str(error))
            upstream.mark_unverified()
            return _pass_on(job, attempt, responses.out_of_order(), error)
        case errors.Unreachable():
            log.warning("the upstream can't be reached", error=str(error))
            return _pass_on(job, attempt, responses.unreachable())
        case errors.GatewayTimedOut() | errors.Unanswered() | errors.BodyLost():
            outcomes.handle_lost_response(job, attempt, upstream)
            return responses.cut_off() if job.reason == claims.Reason.PASSED_ON else responses.of(job)
        case errors.ServerFailed():
            outcomes.handle_error_response(job, attempt, error)
            return error
        case errors.ApiError():
            return _turn_down(job, attempt, error)
        case files.NotStoredError() | disk_space.InsufficientStorageError():
            return _tell_of_full_disk(job, attempt, error)
    log.error("a program's call can't be made", error=str(error))
    return _pass_on(job, attempt, responses.out_of_order())


def _tell_of_full_disk(job: Job, attempt: Attempt, error: Exception) -> errors.ApiError:
    if isinstance(error, files.NotStoredError):
        outcomes.wait_for_room(job, str(error))
        return responses.result_waits()
    log.error("no room for a result", error=str(error))
    return _pass_on(job, attempt, responses.disk_full())


def _turn_down(job: Job, attempt: Attempt, error: errors.ApiError) -> errors.ApiError | None:
    """An answer that a repetition is given too, so that it is told out of the rows."""
    outcomes.handle_error_response(job, attempt, error)
    return responses.of(job)


def _pass_on(
    job: Job, attempt: Attempt, told: errors.ApiError, error: errors.ApiError | None = None
) -> errors.ApiError:
    outcomes.fail_without_charge(job, attempt, claims.Reason.PASSED_ON, error or told)
    return told


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="call")


@cache
def leases() -> Heartbeat:
    """This process's. Its heart beats as long as the process lives."""
    kept = Heartbeat()
    threading.Thread(target=kept.beat, args=(threading.Event(),), name="heartbeat", daemon=True).start()
    return kept
