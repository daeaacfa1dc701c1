"""E25, one key against all.

One team's programs ask for pictures at an address whose server drips, more of them at once than the gateway
has places, and ask again at once. Meanwhile another team's calls, with a picture and with an address, must
each be answered within two seconds. The control is the gateway without shares.
"""

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from django.conf import settings

from chaos import patches
from chaos.experiments import Outcome
from chaos.slow import DRIP_SECONDS, PAUSE_SECONDS, Seen
from chaos.system import REMOVE, System
from pixian.protocol.credentials import Credentials

CROWDED_AFTER_SECONDS = 2


class Pictures(BaseHTTPRequestHandler):
    """Sends a picture, at once or a byte at a time."""

    def __init__(self, picture: bytes, drips: bool, *args: object) -> None:  # noqa: FBT001 - of a partial
        self._picture, self._drips = picture, drips
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(self._picture)))
        self.end_headers()
        step = 1 if self._drips else len(self._picture)
        with suppress(OSError):
            for at in range(0, len(self._picture), step):
                self.wfile.write(self._picture[at : at + step])
                time.sleep(DRIP_SECONDS if self._drips else 0)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def pictures(port: int, picture: bytes, *, drips: bool) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Pictures, picture, drips))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}/a.png"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def crowd(url: str, key: Credentials, address: str, calls: int) -> Iterator[list[threading.Thread]]:
    """Run so many programs that all want the same, again and again; they end with the server."""
    stop = threading.Event()

    def insist() -> None:
        with httpx.Client(auth=(key.api_id, key.api_secret), timeout=60, trust_env=False) as http:
            while not stop.wait(PAUSE_SECONDS):
                with suppress(httpx.HTTPError):
                    http.post(url, data={"image.url": address})

    threads = [threading.Thread(target=insist, daemon=True) for _ in range(calls)]
    for thread in threads:
        thread.start()
    time.sleep(CROWDED_AFTER_SECONDS)
    try:
        yield threads
    finally:
        stop.set()


def run(system: System, options: argparse.Namespace) -> Outcome:
    greedy, other = (system.key(team) for team in system.teams)
    dripping, quick = sorted(settings.FETCH_PORTS)
    picture, url, auth = system.picture(), f"{system.address}{REMOVE}", (other.api_id, other.api_secret)
    late = {}
    for name, prepare in (("with shares", None), ("without", patches.without_shares)):
        seen = Seen(options.within)
        with (
            system.serving(prepare=prepare),
            pictures(dripping, picture, drips=True) as drip,
            pictures(quick, picture, drips=False) as address,
            crowd(url, greedy, drip, options.calls) as threads,
        ):
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                seen.ask("POST", url, auth=auth, files={"image": ("a.png", picture)})
                seen.ask("POST", url, auth=auth, data={"image.url": address})
                time.sleep(PAUSE_SECONDS)
        for thread in threads:  # before the next web process is forked
            thread.join()
        seen.report(name)
        late[name] = seen.late
    bad = late["with shares"]
    found = [f"{bad} of another team's calls were late"] if bad else []
    return Outcome(found, {"control": late["without"]}, {"late": bad})
