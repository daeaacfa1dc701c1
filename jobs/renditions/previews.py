"""Views of a job's pictures that are made here and cost nothing: small ones for pages, for now.

They are made when first looked at, not when a job is finished, so that the paid way stays short. They can
be deleted at any time.
"""

import io
from enum import StrEnum
from typing import BinaryIO, cast

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from jobs.models import Job
from jobs.renditions.decode_limit import ROOM
from pixian.imaging import convert, decode, delta_png
from pixian.imaging.orientation import AS_STORED
from pixian.protocol.options import Options

QUALITY = 82
BYTES_PER_PIXEL = 8  # a source and its result, or a large part of either

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
        """The longer side at most, in pixels."""
        return {"tile": 320, "page": 1600}[self]


def preview(job: Job, side: Side, size: Size) -> str:
    """The stored name of a WebP no larger than ``size``, upright and without metadata; raises ServerFailed
    503/-3 where too many are being made."""
    original = (job.source if side is Side.BEFORE else job.result).name or ""
    name = f"{original}.{size}.webp"
    if not default_storage.exists(name):
        with ROOM.taken(job.team_id, BYTES_PER_PIXEL * job.width * job.height):
            whole = _whole(job, size) if side is Side.AFTER and job.is_delta else None
            image, profile = whole or _stored(original, size)
            webp = _encoded(image, profile)
        # Two readers may get here at once; what they make is the same, and either copy serves.
        name = default_storage.save(name, ContentFile(webp))
    return name


def _stored(name: str, size: Size) -> Small:
    with default_storage.open(name) as file:
        image, header = decode.open_picture(cast("BinaryIO", file))
        image.draft(None, (size.edge, size.edge))
        decode.decode(image)
        return convert.thumbnail(image, header.orientation, size.edge)


def _whole(job: Job, size: Size) -> Small | None:
    """What a delta PNG makes together with its source; None if they don't fit."""
    with job.source.open() as file, job.result.open() as delta:
        image, header = decode.open_picture(cast("BinaryIO", file))
        decode.decode(image)
        cap = Options.parse(job.options).max_pixels
        original = convert.working_copy(image, header.orientation, cap)
        try:
            whole = Image.fromarray(delta_png.decode(original.pixels, delta.read()))
        except ValueError:
            return None
    return convert.thumbnail(whole, AS_STORED, size.edge)[0], original.profile


def _encoded(image: Image.Image, profile: bytes | None) -> bytes:
    webp = io.BytesIO()
    image.save(webp, "WEBP", quality=QUALITY, method=3, icc_profile=profile or b"")
    return webp.getvalue()
