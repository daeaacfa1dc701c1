"""The bytes of a picture's files, and the processor time of those that are made here for nothing.

The photos are the tests' own ones, enlarged to a camera's size with its grain, and cut out by the embedded
engine's small network, for the picture that a browser's job asks for.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import BinaryIO, cast
from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile

from bench.quality import dataset
from bench.speed.steps import large_photo
from chaos.system import System
from engine.config import Config
from engine.models import catalog
from engine.pipeline import inference
from engine.pipeline.cutout import BackgroundRemover
from engine.pipeline.matting import Matting
from jobs.intake.submit import Upload, submit
from jobs.models import Job
from jobs.renditions import render
from jobs.renditions.previews import Side, Size, preview
from jobs.renditions.style import Background, Format, Style
from jobs.storage import files
from pixian.imaging import decode
from pixian.protocol.options import Options

MEGAPIXELS = 12
MODEL = "fast"
DELTA = {"output.format": "delta_png"}
WHITE = Style(background=Background.COLOR, format=Format.JPEG)
STYLES = {
    "PNG": Style(),
    "JPEG on white": WHITE,
    "JPEG on white, 2000²": replace(WHITE, size=(2000, 2000), crop=True),
}


def run(system: System, _options: argparse.Namespace) -> None:
    job = _job(system)
    sys.stdout.write(f"a photo of {MEGAPIXELS} megapixels\n")
    _say("source", str(job.source), 0)
    _say("master", str(job.result), 0)
    for side in Side:
        for size in Size:
            _make(f"preview, {side} {size}", partial(preview, job, side, size))
    for name, style in STYLES.items():
        _make(f"rendition, {name}", partial(_rendition, job, style))


def _rendition(job: Job, style: Style) -> str:
    return str(render.make(job, style).file)


def _job(system: System) -> Job:
    """Return the job of a photo that is cut out."""
    photo = large_photo(MEGAPIXELS)
    with TemporaryUploadedFile("photo.jpg", "image/jpeg", len(photo), None) as file:
        file.write(photo)
        header = decode.check(cast("BinaryIO", file))
        job = submit(system.teams[0], system.user, Upload(file, header, "photo.jpg", uuid4(), options=DELTA))
    config = Config.from_env()
    model = catalog.find(MODEL, config.models_dir)
    network = inference.load(model.path(config.models_dir), dataset.CACHE / "engine", bfloat16=model.bfloat16)
    remover = BackgroundRemover(Matting(model, network), 1_000_000, timeout=60)
    content = remover.cut_out(io.BytesIO(photo), Options.parse(DELTA)).content
    job.result = default_storage.save(files.result_name(job, 1), ContentFile(content))
    job.state = Job.State.DONE
    job.result_bytes = len(content)
    job.save()
    return job


def _make(what: str, make: Callable[[], str]) -> None:
    began = time.process_time()
    name = make()
    _say(what, name, time.process_time() - began)


def _say(what: str, name: str, seconds: float) -> None:
    size = default_storage.size(name) / 1000
    sys.stdout.write(f"  {size:8.0f} kB  {1000 * seconds:6.0f} ms  {what}\n")
    sys.stdout.flush()
