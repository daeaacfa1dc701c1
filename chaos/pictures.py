"""E24, pictures that are attacks.

Each attack is sent to an engine of its own three times at once, while another user sends a small photo again
and again. The attack must be refused or served within a second and 50 MB, and the photo within two seconds.

The control is the engine without the walk over containers: Pillow opens whatever comes.
"""

import argparse
import logging
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO
from unittest.mock import patch

import httpx
from PIL import Image
from werkzeug.serving import make_server

from chaos.experiments import Outcome, say
from chaos.process import status
from chaos.servers import free_port
from chaos.waiting import wait_for
from engine.config import ROOT, Config
from engine.server.app import create_application
from pixian.client.client import API_PATH
from pixian.imaging.decode import FORMATS, Header
from pixian.protocol.credentials import Credentials
from pixian.tests.imaging.attacks import ATTACKS

KNOWN = Credentials("pxtest000000000", "0" * 52)
PHOTO = (ROOT / "engine/tests/photos/chelsea.jpg").read_bytes()
AT_ONCE, OK = 3, 200
SECONDS, OTHERS_SECONDS, MEGABYTES = 1.0, 2.0, 50.0
GIVE_UP_SECONDS = 120
PEAK = "VmHWM"  # in kilobytes


def run(_: object, _options: argparse.Namespace) -> Outcome:
    suffered = [name for name in ATTACKS if not withstands(name)]
    noticed = any(not withstands(name, control=True) for name in ATTACKS)
    return Outcome(suffered, {"control": int(noticed)}, {"borne": len(ATTACKS) - len(suffered)})


def withstands(name: str, *, control: bool = False) -> bool:
    """Send the attack to an engine that has served a photo before; return True if it is borne."""
    content, port = ATTACKS[name][0](), free_port()
    url = f"http://127.0.0.1:{port}{API_PATH}/remove-background"
    engine = multiprocessing.get_context("spawn").Process(target=serve, args=(port, control), daemon=True)
    engine.start()
    try:
        wait_for(lambda: timed(url, PHOTO)[0] == OK, GIVE_UP_SECONDS, "the engine's first picture")
        alone = max(timed(url, PHOTO)[1] for _ in range(3))
        before = status(engine.pid or 0, PEAK)
        with ThreadPoolExecutor(AT_ONCE + 1) as senders:
            attacks = [senders.submit(timed, url, content) for _ in range(AT_ONCE)]
            photos = [timed(url, PHOTO)]
            while not all(attack.done() for attack in attacks):
                photos.append(timed(url, PHOTO))
        megabytes = (status(engine.pid or 0, PEAK) - before) / 1024
    finally:
        engine.kill()
        engine.join()
    statuses = [attack.result()[0] for attack in attacks]
    slowest, beside = (max(took for _, took in pairs) for pairs in ([a.result() for a in attacks], photos))
    share = (AT_ONCE + 2) * alone  # a busy machine is allowed a few times what a photo takes alone
    borne = slowest <= max(SECONDS, share) and beside <= max(OTHERS_SECONDS, share)
    borne = borne and megabytes <= AT_ONCE * MEGABYTES
    say(
        f"{name:32} {statuses}  {slowest:5.1f} s; a photo {alone:.1f} s alone, {beside:.1f} s beside; "
        f"+{megabytes:5.0f} MB  {'' if borne else 'SUFFERS'}"
    )
    return borne


def timed(url: str, content: bytes) -> tuple[int, float]:
    """Return the status, 0 if none came, and the seconds until then."""
    started = time.monotonic()
    try:
        auth = (KNOWN.api_id, KNOWN.api_secret)
        answer = httpx.post(url, files={"image": content}, auth=auth, timeout=GIVE_UP_SECONDS)
        return answer.status_code, time.monotonic() - started
    except httpx.HTTPError:
        return 0, time.monotonic() - started


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
