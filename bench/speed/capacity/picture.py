"""What a picture costs by a batch and by the API, with an upstream that costs nothing."""

import argparse
import io
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.apps import apps
from PIL import Image

from bench.speed.capacity.meter import Meter, Statements
from chaos.notes import Notes
from chaos.system import REMOVE, System
from chaos.uploader import Photo, Uploader, new_id
from conftest import PHOTOS

THREADS = 5
CONNECTIONS = 5
IDLE_SECONDS = 10
LOOK_SECONDS = 0.5  # seldom, since the database's time is measured
SIZE = 1200, 900
PATIENCE_SECONDS = 1200
FEW = 0.05


def run(system: System, options: argparse.Namespace) -> None:
    statements, own = Statements(), Statements()
    worker = system.worker(THREADS, prepare=statements.install)
    with system.serving(prepare=statements.install) as web:
        own.install()  # after the others were forked
        meter = Meter({"web": web.pid, "workers": worker.pid}, statements, own)
        _batch(system, _photos("warm", CONNECTIONS))
        _calls(system, _photos("warm calls", CONNECTIONS))
        sys.stdout.write(f"{options.database}: {options.pictures} pictures of {SIZE[0]} × {SIZE[1]} each\n")
        with _measured("idle, a second of", meter, IDLE_SECONDS):
            time.sleep(IDLE_SECONDS)
        for name, way in (("batch, a picture of", _batch), ("API, a picture of", _calls)):
            photos = _photos(name, options.pictures)
            with _measured(name, meter, len(photos)):
                way(system, photos)
    worker.end()


def _photos(seed: str, count: int) -> Sequence[Photo]:
    """Make photos of a real one, that differ in a comment only."""
    photo = Image.open(PHOTOS / "astronaut.jpg").convert("RGB").resize(SIZE)
    made = []
    for number in range(1, count + 1):
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=85, comment=f"{seed} {number}".encode())
        made.append(Photo(number, f"{number:04}.jpg", file.getvalue()))
    return made


def _batch(system: System, photos: Sequence[Photo]) -> None:
    """Upload them as the page does, while the worker is at work, until all are done."""
    batch = new_id(photos[0].sha256)
    uploader = Uploader(
        [system.address],
        system.browser(),
        system.teams[0].slug,
        batch,
        photos,
        chunk=10**7,
        repeats=Notes(system.environment.folder / "repeats"),
    )
    if system.fork(uploader.begin).wait() != 0:
        raise RuntimeError(system.log.read_text()[-2000:])
    while system.unfinished():
        time.sleep(LOOK_SECONDS)


def _calls(system: System, photos: Sequence[Photo]) -> None:
    """Send each as a program does, some at once."""

    def send(share: Sequence[Photo]) -> None:
        with system.client(key, PATIENCE_SECONDS) as http:
            for photo in share:
                http.post(REMOVE, files={"image": (photo.name, photo.content)}).raise_for_status()

    key = system.key()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(send, [photos[n::CONNECTIONS] for n in range(CONNECTIONS)]))


@contextmanager
def _measured(name: str, meter: Meter, count: int) -> Iterator[None]:
    """Print what one of so many uses inside, with what the instance would have used anyway."""
    before, began, rows = meter.read(), time.monotonic(), _rows()
    yield
    used, seconds = meter.read(), time.monotonic() - began
    sys.stdout.write(f"{name} {count} in {seconds:.0f} s\n")
    sys.stdout.write("".join(f"  {(used[what] - before[what]) / count:8.2f} {what}\n" for what in used))
    added = {model: (now - rows[model]) / count for model, now in _rows().items()}
    listed = ", ".join(f"{rows:.2f} {model}" for model, rows in added.items() if rows > FEW)
    sys.stdout.write(f"  rows: {listed}\n")
    sys.stdout.flush()


def _rows() -> dict[str, int]:
    models = [model for app in ("accounts", "jobs") for model in apps.get_app_config(app).get_models()]
    return {model.__name__: model._base_manager.count() for model in models}
