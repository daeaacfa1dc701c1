"""Batches whose pictures are cut out, for the tests of what leaves the house."""

import io
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image

from conftest import World
from jobs.batches.create import open_batch
from jobs.models import Batch, Job
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from pixian.imaging import delta_png

SIZE = 40, 30


def photo(shade: int = 0) -> bytes:
    """Return a picture that can be told from others, with a colour of its own at each pixel."""
    across, down = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    file = io.BytesIO()
    Image.fromarray(np.dstack((across * 6, down * 8, across * 0 + shade)).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def delta_of(source: bytes) -> bytes:
    """Return the delta PNG of a cut-out of the picture's middle."""
    original = np.array(Image.open(io.BytesIO(source)).convert("RGB"))
    alpha = np.zeros(original.shape[:2], np.uint8)
    alpha[8:-8, 8:-8] = 255
    return delta_png.encode(original, np.dstack((original, alpha)))


def new_batch(world: World, name: str = "Shoes", **columns: Any) -> Batch:
    batch = open_batch(world.team, world.alice, uuid4(), name)
    Batch.objects.filter(pk=batch.pk).update(**columns)
    batch.refresh_from_db()
    return batch


def add(world: World, server: Server, batch: Batch, name: str, folder: str = "") -> Job:
    """Add a picture to the batch, and cut it out for 0.000123 credits."""
    number = batch.jobs.count() + 1
    source = photo(number)
    job = world.job(source, batch=batch.pk)
    Job.objects.filter(pk=job.pk).update(name=name, folder=folder, number=number)
    server.script.append(wire.answer(delta_of(source), charged="0.000123"))
    return run(server)[0]


def batch_of(world: World, server: Server, names: Sequence[str], **columns: Any) -> Batch:
    batch = new_batch(world, **columns)
    for name in names:
        add(world, server, batch, name)
    return batch
