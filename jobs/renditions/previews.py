"""Make small versions of a job's pictures for pages, at no cost.

They are made on first view, not when a job finishes, so that processing a paid call stays short. They can be
deleted at any time.
"""

import io
from enum import StrEnum
from typing import BinaryIO, cast

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from jobs.models import Job
from jobs.renditions.decode_limit import DECODING
from jobs.renditions.master import Master
from pixian.imaging import convert, decode
from pixian.imaging.convert import WorkingCopy
from pixian.imaging.orientation import AS_STORED

QUALITY = 82
BYTES_PER_PIXEL = 8  # a source and its result

Small = tuple[Image.Image, bytes | None]
"""A small picture and the ICC profile that describes it."""


class Side(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Size(StrEnum):
    TILE = "tile"
    PAGE = "page"

    @property
    def edge(self) -> int:
        """Return the longest side allowed, in pixels."""
        return {"tile": 320, "page": 1600}[self]


def preview(job: Job, side: Side, size: Size) -> str:
    """Return the stored name of a WebP no larger than ``size``, upright and without metadata.

    Makes it if it doesn't exist. Raises ServerFailed 503/-3 if too many are being made.
    """
    original = (job.source if side is Side.BEFORE else job.result).name or ""
    name = f"{original}.{size}.webp"
    if not default_storage.exists(name):
        with DECODING.reserve(job.team_id, BYTES_PER_PIXEL * job.width * job.height):
            merged = Master(job).merged if side is Side.AFTER else None
            image, profile = _small(merged, size) if merged else _shrink(original, size)
            webp = _encode(image, profile)
        # Two requests may get here at once; both make the same picture, so either copy will do.
        name = default_storage.save(name, ContentFile(webp))
    return name


def _shrink(name: str, size: Size) -> Small:
    with default_storage.open(name) as file:
        image, header = decode.open_picture(cast("BinaryIO", file))
        image.draft(None, (size.edge, size.edge))
        decode.decode(image)
        return convert.thumbnail(image, header.orientation, size.edge)


def _small(whole: WorkingCopy, size: Size) -> Small:
    return convert.thumbnail(Image.fromarray(whole.pixels), AS_STORED, size.edge)[0], whole.profile


def _encode(image: Image.Image, profile: bytes | None) -> bytes:
    webp = io.BytesIO()
    image.save(webp, "WEBP", quality=QUALITY, method=2, icc_profile=profile or b"")
    return webp.getvalue()
