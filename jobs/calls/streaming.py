"""Stream a program's result to it while the upstream still sends it.

The call runs in a thread of its own, which books it at the upstream's pace: neither a program that reads
slowly nor one that hangs up holds up the books. The request's thread reads along from the file that the
result is written to. It sends the last byte once everything is stored and booked, so that a program that
has the whole result can rely on it.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import structlog
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import close_old_connections
from structlog.contextvars import bound_contextvars

from accounts import request_id
from jobs.calls import direct, responses
from jobs.calls.execute import Listener
from jobs.calls.upstream import Upstream
from jobs.connections import DATABASE_AWAY, give_back
from jobs.models import Attempt, Job
from jobs.queue import claims, concurrency
from jobs.queue.heartbeat import Heartbeat
from pixian.client.client import Answer
from pixian.protocol import errors

log = structlog.get_logger(__name__)

CHUNK_BYTES = 65_536
MAX_THREADS = 1_000  # how many calls there are is bounded where requests come in


class StreamedCall(Listener):
    """A call on its way.

    Once ``wait`` has returned, ``headers`` are those of a 200, or ``error`` is the response to give instead.
    """

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
        """Wait until a 200's headers are here, or the call has ended without them."""
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
        """Wait until the call has ended: its result is stored and booked, or there is an error."""
        give_back()  # as in ``wait``
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
        if self.headers is not None:
            os.close(self._descriptor)

    def body(self) -> "ResultStream":
        """Return the result as it comes, once there are headers."""
        return ResultStream(self, self._descriptor)

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
        """Wait for more than ``sent`` bytes or the end; return up to which byte may be read.

        The last byte is held back until the result is stored and booked.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._size - 1 > sent)
            size = self._size if self._ended and not self.error else self._size - 1
            return min(max(size, sent), sent + CHUNK_BYTES)

    def _run(self) -> None:
        error: errors.ApiError | None = responses.unknown()
        try:
            of_call = bound_contextvars(job=self._job.pk, attempt=f"{self._job.pk}/{self._attempt.number}")
            named = request_id.working_for(self._attempt.http_request_id)
            with named, of_call, leases().held(self._job):
                error = direct.call(self._job, self._attempt, self._upstream, self._until, self)
        except claims.LostLeaseError:
            log.warning("lease lost, a worker has the job", job=self._job.pk)
        except DATABASE_AWAY as away:
            # As below; whoever reads the log knows that the database was away.
            log.warning("the database doesn't answer", job=self._job.pk, error=str(away).strip())
        except Exception:
            # The lease runs out, and a worker brings the job to its end by what its rows say.
            log.exception("a program's call failed in an unexpected way", job=self._job.pk)
        finally:
            close_old_connections()
            concurrency.call_limit.recheck()
            with self._changed:
                self.error, self._ended = error, True
                self._changed.notify_all()


class ResultStream:
    """A result in chunks, while it comes. Raises BodyLost if it doesn't come whole."""

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
        """Close the file, even if nobody has read it: the server calls this at the end of each response."""
        os.close(self._descriptor)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="call")


@cache
def leases() -> Heartbeat:
    """Return this process's heartbeat, which lasts as long as the process."""
    heartbeat = Heartbeat()
    threading.Thread(target=heartbeat.beat, args=(threading.Event(),), name="heartbeat", daemon=True).start()
    return heartbeat
