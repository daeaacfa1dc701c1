"""E25 as it is played."""

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from accounts.api_keys import keys
from chaos import stage
from chaos.site import Site
from chaos.slow_scene import REMOVE, Seen, ask, web
from pixian.protocol.credentials import Credentials

DRIP_SECONDS = 0.5
PAUSE_SECONDS = 0.3


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
        if not self._drips:
            self.wfile.write(self._picture)
            return
        with suppress(OSError):
            for at in range(len(self._picture)):
                self.wfile.write(self._picture[at : at + 1])
                time.sleep(DRIP_SECONDS)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def pictures(port: int, picture: bytes, *, drips: bool) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Pictures, picture, drips))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}/a.png"
    finally:
        server.shutdown()


def run(here: stage.Stage, options: argparse.Namespace, dripping: int, quick: int) -> int:
    with (
        Site(here, teams=2, hurried=False) as site,
        pictures(dripping, site.picture(), drips=True) as drip,
        pictures(quick, site.picture(), drips=False) as picture,
    ):
        greedy, other = (keys.create(team, site.user, "shop")[1] for team in site.teams)
        late = []
        for application in ("pixian_web.wsgi", "chaos.without_shares"):
            with web(application=application) as url, crowd(url, greedy, drip, options.calls):
                seen = watched(url, other, site.picture(), picture, options)
            sys.stdout.write(
                f"{application}: {seen.asked} asked, {seen.late} late, slowest {seen.slowest:.2f} s\n"
            )
            late.append(seen.late)
    stage.report("E25 shares", options, late=late[0], control=late[1])
    return int(bool(late[0] or not late[1]))


@contextmanager
def crowd(url: str, key: Credentials, address: str, calls: int) -> Iterator[None]:
    """So many programs that all want the same, again and again."""
    stop = threading.Event()

    def insist() -> None:
        with httpx.Client(auth=(key.api_id, key.api_secret), timeout=60, trust_env=False) as http:
            while not stop.wait(PAUSE_SECONDS):
                with suppress(httpx.HTTPError):
                    http.post(f"{url}{REMOVE}", data={"image.url": address})

    threads = [threading.Thread(target=insist, daemon=True) for _ in range(calls)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    try:
        yield
    finally:
        stop.set()


def watched(url: str, key: Credentials, picture: bytes, address: str, options: argparse.Namespace) -> Seen:
    """Calls in turns, with a picture and with an address."""
    seen, end = Seen(options.within), time.monotonic() + options.seconds
    auth = (key.api_id, key.api_secret)
    while time.monotonic() < end:
        ask(seen, "POST", f"{url}{REMOVE}", auth=auth, files={"image": ("a.png", picture)})
        ask(seen, "POST", f"{url}{REMOVE}", auth=auth, data={"image.url": address})
        time.sleep(PAUSE_SECONDS)
    return seen
