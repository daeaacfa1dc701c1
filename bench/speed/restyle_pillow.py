"""The baseline of ``bench.speed.restyle``: what a short script with Pillow does with an ordinary cut-out."""

import io
from typing import Any

from django.core.files.storage import default_storage
from PIL import Image

from bench.speed.restyle_pictures import PLAIN_CUT_OUT
from jobs.models import Job
from jobs.renditions.previews import QUALITY

SIDE, PREVIEW_SIDE = 2000, 1600
FILL = 0.86


def preview(job: Job) -> bytes:
    return _on_white(job, PREVIEW_SIDE, "WEBP", quality=QUALITY)


def restyle(job: Job) -> None:
    content = _on_white(job, SIDE, "JPEG", quality=90)
    with default_storage.open(f"{_folder(job)}/pillow.jpg", "wb") as file:
        file.write(content)


def _on_white(job: Job, side: int, kind: str, **save: Any) -> bytes:
    with default_storage.open(f"{_folder(job)}/{PLAIN_CUT_OUT}") as file:
        image = Image.open(file)
        image.load()
    subject = image.crop(image.getchannel("A").getbbox())
    scale = side * FILL / max(subject.size)
    small = subject.resize(
        (round(subject.width * scale), round(subject.height * scale)), Image.Resampling.BICUBIC
    )
    canvas = Image.new("RGB", (side, side), "white")
    canvas.paste(small, ((side - small.width) // 2, (side - small.height) // 2), small)
    content = io.BytesIO()
    canvas.save(content, kind, **save)
    return content.getvalue()


def _folder(job: Job) -> str:
    return str(job.source.name).rpartition("/")[0]
