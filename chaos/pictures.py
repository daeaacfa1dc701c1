"""E24, pictures that are attacks.

Each attack is sent to an engine of its own three times at once, while another user sends a small photo again
and again. The attack must be refused or served within a second and 50 MB, and the photo within two seconds.

The control is the engine without the walk over containers: Pillow opens whatever comes.
"""

import argparse
import logging
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO
from unittest.mock import patch

import httpx
from PIL import Image
from werkzeug.serving import make_server

from chaos.experiments import Outcome
from chaos.servers import free_port
from engine.config import ROOT, Config
from engine.server.app import create_application
from pixian.client.client import API_PATH
from pixian.imaging.decode import FORMATS, Header
from pixian.protocol.credentials import Credentials
from pixian.tests.imaging.attacks import ATTACKS

KNOWN = Credentials("pxtest000000000", "0" * 52)
PHOTO = (ROOT / "engine/tests/photos/chelsea.jpg").read_bytes()
AT_ONCE = 3
SECONDS, OTHERS_SECONDS, MEGABYTES = 1.0, 2.0, 50.0
GIVE_UP_SECONDS = 120


@dataclass(frozen=True)
class Measured:
    """The statuses that one attack got, the slowest responses to it and beside it, and the rise in memory.

    alone: the seconds that a photo takes while nothing else comes; a busy machine is allowed a few of them.
    """

    statuses: list[int]
    alone: float
    seconds: float
    others_seconds: float
    megabytes: float

    @property
    def is_borne(self) -> bool:
        share = (AT_ONCE + 2) * self.alone
        within = self.seconds <= max(SECONDS, share) and self.others_seconds <= max(OTHERS_SECONDS, share)
        return within and self.megabytes <= AT_ONCE * MEGABYTES


def run(_: object, options: argparse.Namespace) -> Outcome:
    names = [name for name in ATTACKS if options.only in name]
    suffered = [name for name in names if not withstands(name)]
    noticed = any(not withstands(name, control=True) for name in names)
    return Outcome(suffered, {"control": int(noticed)}, {"borne": len(names) - len(suffered)})


def withstands(name: str, *, control: bool = False) -> bool:
    told = measured(name, control=control)
    sys.stdout.write(
        f"{name:32} {told.statuses}  {told.seconds:5.1f} s; "
        f"a photo {told.alone:.1f} s alone, {told.others_seconds:.1f} s beside; "
        f"+{told.megabytes:5.0f} MB  {'' if told.is_borne else 'SUFFERS'}\n"
    )
    sys.stdout.flush()
    return told.is_borne


def measured(name: str, *, control: bool) -> Measured:
    """Send the attack to an engine that has served a photo before."""
    content, port = ATTACKS[name][0](), free_port()
    engine = multiprocessing.get_context("spawn").Process(target=serve, args=(port, control), daemon=True)
    engine.start()
    try:
        url = f"http://127.0.0.1:{port}{API_PATH}/remove-background"
        wait_until_served(url)
        alone = max(timed(url, PHOTO)[1] for _ in range(3))
        before = peak_megabytes(engine.pid or 0)
        with ThreadPoolExecutor(AT_ONCE + 1) as senders:
            attacks = [senders.submit(timed, url, content) for _ in range(AT_ONCE)]
            photos = [timed(url, PHOTO)]
            while not all(attack.done() for attack in attacks):
                photos.append(timed(url, PHOTO))
        statuses, seconds = zip(*(attack.result() for attack in attacks), strict=True)
        slowest = max(took for _status, took in photos)
        return Measured(
            list(statuses), alone, max(seconds), slowest, peak_megabytes(engine.pid or 0) - before
        )
    finally:
        engine.kill()
        engine.join()


def timed(url: str, content: bytes) -> tuple[int, float]:
    """Return the status, 0 if none came, and the seconds until then."""
    started = time.monotonic()
    try:
        auth = (KNOWN.api_id, KNOWN.api_secret)
        answer = httpx.post(url, files={"image": content}, auth=auth, timeout=GIVE_UP_SECONDS)
        return answer.status_code, time.monotonic() - started
    except httpx.HTTPError:
        return 0, time.monotonic() - started


def wait_until_served(url: str) -> None:
    end = time.monotonic() + GIVE_UP_SECONDS
    while timed(url, PHOTO)[0] != 200:
        if time.monotonic() > end:
            raise TimeoutError("The engine doesn't come up")
        time.sleep(0.2)


def peak_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def serve(port: int, control: bool) -> None:  # noqa: FBT001 - multiprocessing passes positions
    with TemporaryDirectory() as folder:
        config = Config(Path(folder), ROOT / "models", "fast", KNOWN.api_id, KNOWN.api_secret)
        application = create_application(config)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        pillow = patch.multiple(
            "engine.pipeline.cutout", open_picture=as_pillow_does, decode=lambda image: image.load()
        )
        with pillow if control else nullcontext():
            make_server("127.0.0.1", port, application, threaded=True).serve_forever()


def as_pillow_does(file: BinaryIO) -> tuple[Image.Image, Header]:
    """Open a picture as it was before containers were walked."""
    image = Image.open(file, formats=FORMATS)
    return image, Header(str(image.format), *image.size, 1)
