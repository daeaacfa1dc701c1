"""Views of a job's pictures that are made here and cost nothing: small ones for pages, for now.

They are made when first looked at, not when a job is finished, so that the paid way stays short. They can
be deleted at any time.
"""

import io
from enum import StrEnum

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from jobs.models import Job
from pixian import picture, pixels

QUALITY = 82


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
    """The stored name of a WebP no larger than ``size``, upright and without metadata."""
    original = (job.source if side is Side.BEFORE else job.result).name or ""
    name = f"{original}.{size}.webp"
    if not default_storage.exists(name):
        with default_storage.open(original) as file:
            webp = _shrunk(file, size.edge)
        # Two readers may get here at once; what they make is the same, and either copy serves.
        name = default_storage.save(name, ContentFile(webp))
    return name


def _shrunk(file: object, edge: int) -> bytes:
    image, _header = picture.open_picture(file)  # type: ignore[arg-type]
    with image:
        image.draft(None, (edge, edge))
        picture.decode(image)
        shown = pixels.eight_bit(pixels.upright(image))
        small = shown.convert("RGBA" if shown.has_transparency_data else "RGB")
        small.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
    webp = io.BytesIO()
    small.save(webp, "WEBP", quality=QUALITY, method=3, icc_profile=pixels.rgb_profile(image) or b"")
    return webp.getvalue()
