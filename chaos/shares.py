"""E25, one key against all.

One team's programs ask for pictures at an address whose server drips, more of them at once than the gateway
has places, and ask again at once. Meanwhile another team's calls, with a picture and with an address, must
each be answered within two seconds. The control is the gateway without shares.
"""

import argparse
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
from django.conf import settings
from werkzeug.serving import make_server

from chaos import patches
from chaos.experiments import Outcome
from chaos.programs import PAUSE_SECONDS, Seen, repeating
from chaos.slow import DRIP_SECONDS
from chaos.system import REMOVE, Prepare, System

CALLS = 30
CROWDED_AFTER_SECONDS = 2


@contextmanager
def serving(port: int, picture: bytes, *, drips: bool) -> Iterator[str]:
    """Serve a picture, at once or a byte at a time; yield its address."""
    step, pause = (1, DRIP_SECONDS) if drips else (len(picture), 0)

    def answer(_: object, start_response: Callable[..., object]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "image/png"), ("Content-Length", str(len(picture)))])
        for at in range(0, len(picture), step):
            yield picture[at : at + step]
            time.sleep(pause)

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = make_server("127.0.0.1", port, answer, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}/a.png"
    finally:
        server.shutdown()
        server.server_close()


def run(system: System, options: argparse.Namespace) -> Outcome:
    late = play(system, options, "with shares")
    control = play(system, options, "without", patches.without_shares)
    found = [f"{late} of another team's calls were late"] if late else []
    return Outcome(found, {"control": control}, {"late": late})


def play(system: System, options: argparse.Namespace, name: str, plant: Prepare = None) -> int:
    """Let one team's programs crowd the gateway; return how many of the other's calls were late."""
    greedy, other = (system.key(team) for team in system.teams)
    dripping, quick = sorted(settings.FETCH_PORTS)
    picture, seen = system.picture(), Seen(system, options.within)
    with (
        system.serving(prepare=plant) as web,
        serving(dripping, picture, drips=True) as drip,
        serving(quick, picture, drips=False) as address,
    ):

        def insist(stop: threading.Event) -> None:
            with suppress(httpx.HTTPError), system.client(greedy) as http:
                http.post(REMOVE, data={"image.url": drip})
            stop.wait(PAUSE_SECONDS)

        with repeating(CALLS, insist):
            time.sleep(CROWDED_AFTER_SECONDS)
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                seen.ask("POST", REMOVE, other, files={"image": ("a.png", picture)})
                seen.ask("POST", REMOVE, other, data={"image.url": address})
                time.sleep(PAUSE_SECONDS)
            web.kill()  # the programs end with it
    seen.report(name)
    return seen.late
