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
from pixian.imaging.orientation import AS_STORED

QUALITY = 82
MERGED_BYTES = 18
"""For a pixel of a source with its delta: both, what they make, and what making it and shrinking it takes."""

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
        small = _merged(job, size) if side is Side.AFTER else None
        if small is None:
            with default_storage.open(original) as file:
                small = shrunk(job.team_id, cast("BinaryIO", file), size.edge)
        # Two requests may get here at once; both make the same picture, so either copy will do.
        name = default_storage.save(name, ContentFile(_encode(*small)))
    return name


def shrunk(team_id: int, file: BinaryIO, edge: int) -> Small:
    """Return a picture of at most ``edge`` pixels a side, upright.

    Raises Refused if the file is damaged, and ServerFailed 503/-3 if too many pictures are being read.
    """
    image, header = decode.open_result(file)  # a source's sides were checked when it was uploaded
    image.draft(None, (edge, edge))
    needed = decode.decoding_bytes(image, header), convert.thumbnail_bytes(image, header.orientation)
    with DECODING.reserve(team_id, max(needed)):
        decode.decode(image)
        return convert.thumbnail(image, header.orientation, edge)


def _merged(job: Job, size: Size) -> Small | None:
    """Return what a delta PNG and its source make; None if it is no delta, or doesn't fit the source."""
    if not (job.reused_from or job).is_delta:
        return None
    with DECODING.reserve(job.team_id, MERGED_BYTES * job.width * job.height):
        whole = Master(job).merged
        if whole is None:
            return None
        return convert.thumbnail(Image.fromarray(whole.pixels), AS_STORED, size.edge)[0], whole.profile


def _encode(image: Image.Image, profile: bytes | None) -> bytes:
    webp = io.BytesIO()
    image.save(webp, "WEBP", quality=QUALITY, method=2, icc_profile=profile or b"")
    return webp.getvalue()
