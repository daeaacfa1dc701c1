"""A gunicorn worker class that serves with waitress, with deadlines for slow clients.

gunicorn starts, monitors and stops the processes. In each process, waitress's event loop reads requests and
writes responses: a request occupies a thread only once it has arrived completely, and the thread is free
again as soon as the response is made. So slow uploads and downloads occupy no threads. waitress itself
closes only silent connections; here a client must also keep up a minimum rate.
"""

import os
import resource
import time
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher

from pixian.server.waitress_channel import CROWDED, TOO_SLOW, Channel, Limits, Stage

CHECK_EVERY_SECONDS = 0.5
PROBE_PATH = "/healthz"
PROBE_THREADS = 4
MAX_HEADER_BYTES = 1 << 16
RECEIVE_BYTES = 1 << 14
SMALL_BODY_BYTES = 1 << 17
"""Kept in memory in any case: 64 MiB for as many connections as there may be."""

MAX_RESPONSE_BYTES = 1 << 27
"""Larger than any picture: a thread blocks on a slow client only for a response beyond this size."""

OPEN_FILES = 4096
"""Two temporary files per connection are possible, and the default limit is often 1,024."""


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Threads for requests, and a few for health probes alone, which mustn't wait behind hanging requests."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.set_thread_count(threads)
        self._probes = ThreadedTaskDispatcher()
        self._probes.set_thread_count(PROBE_THREADS)

    def add_task(self, task: Channel) -> None:
        """Queue the connection's next request."""
        if getattr(task.requests[0], "path", "") == PROBE_PATH:
            self._probes.add_task(task)
        else:
            super().add_task(task)


def raise_open_files(number: int) -> None:
    """Raise this process's soft limit on open files to ``number``, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        most = number if hard == resource.RLIM_INFINITY else min(number, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


class WaitressWorker(Worker):  # type: ignore[misc]
    limits = Limits()

    def run(self) -> None:
        """Serve until gunicorn asks the worker to stop, then finish the requests in progress."""
        self._sockets: dict[int, object] = {}
        self._checked_at = 0.0
        raise_open_files(OPEN_FILES)
        servers = self._servers()
        while self.alive and self.ppid == os.getppid():
            self._turn()
        for server in servers:
            wasyncore.dispatcher.close(server)
        # No deadline here: gunicorn kills a worker that takes longer than graceful_timeout.
        while self._has_requests():
            self._turn()

    def _servers(self) -> list[BaseWSGIServer]:
        create_server(
            self._application,
            map=self._sockets,
            _dispatcher=Dispatcher(self.cfg.threads),
            sockets=[listener.sock for listener in self.sockets],
            backlog=self.cfg.backlog,
            clear_untrusted_proxy_headers=False,  # the application knows how many proxies to trust
            connection_limit=self.limits.connections,
            log_socket_errors=False,
            max_request_body_size=self.limits.body_bytes,
            max_request_header_size=MAX_HEADER_BYTES,
            outbuf_high_watermark=MAX_RESPONSE_BYTES,
            recv_bytes=RECEIVE_BYTES,
        )
        servers = [s for s in self._sockets.values() if isinstance(s, BaseWSGIServer)]
        for server in servers:
            server.channel_class, server.limits = Channel, self.limits
        self._adjustments = servers[0].adj  # every server has the same
        self._keep_bodies_in_memory(kept=0)
        return servers

    def _keep_bodies_in_memory(self, kept: int) -> None:
        """Keep bodies in memory while little is kept, so that a picture is written to disk once."""
        plenty = kept < self.limits.memory_bytes
        self._adjustments.inbuf_overflow = self.limits.body_bytes if plenty else SMALL_BODY_BYTES
        for channel in () if plenty else self._channels():
            if channel.request is not None and channel.request.body_rcv is not None:
                # One that has begun goes on in a file, which its next bytes are appended to.
                channel.request.body_rcv.getbuf().overflow = SMALL_BODY_BYTES

    def _application(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Without file_wrapper the application's thread reads the file. With it the event loop would, and a
        # hanging disk would stop all connections.
        environ.pop("wsgi.file_wrapper", None)
        response: Iterable[bytes] = self.wsgi(environ, start_response)
        return response

    def _turn(self) -> None:
        self.notify()
        wasyncore.poll2(CHECK_EVERY_SECONDS, self._sockets)
        # Each time: between two checks that are further apart, any amount may come.
        self._keep_bodies_in_memory(self._kept())
        now = time.monotonic()
        if now - self._checked_at >= CHECK_EVERY_SECONDS:
            self._checked_at = now
            self._enforce_limits(now)

    def _enforce_limits(self, now: float) -> None:
        """Close overdue connections, and the slowest others if there are too many or they keep too much."""
        for channel in self._channels():
            if channel.is_overdue(now):
                channel.dismiss(TOO_SLOW)
            else:
                channel.judge_anew(now)
        waiting = [c for c in self._channels() if c.waits_for_client and now - c.since > 1]
        slowest = sorted(waiting, key=lambda channel: channel.rate(now))
        if len(self._sockets) >= self.limits.connections:
            for channel in slowest[: self.limits.connections // 10]:
                channel.dismiss(CROWDED)
        kept = self._kept()
        for channel in slowest:
            if kept <= self.limits.kept_bytes:
                break
            kept -= channel.kept_bytes()
            channel.dismiss(CROWDED)

    def _kept(self) -> int:
        return sum(channel.kept_bytes() for channel in self._channels())

    def _channels(self) -> list[Channel]:
        return [c for c in self._sockets.values() if isinstance(c, Channel)]

    def _has_requests(self) -> bool:
        """Close idle connections and return True if any other is left."""
        for channel in self._channels():
            if channel.stage is Stage.IDLE and not channel.requests:
                channel.handle_close()
        return bool(self._channels())
