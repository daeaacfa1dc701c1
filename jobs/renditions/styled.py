"""Show a style on a page at once: composed from the small pictures that the page has already."""

from collections.abc import Mapping
from typing import BinaryIO, cast

import numpy as np
from django.core.files.storage import default_storage
from PIL import Image

from jobs.models import Backdrop, Job
from jobs.renditions import backdrops
from jobs.renditions.compose import RenditionError, backdrop_of, compose
from jobs.renditions.decode_limit import DECODING
from jobs.renditions.previews import QUALITY, Side, Size, preview
from jobs.renditions.style import Background, Style
from pixian.imaging import decode, encode
from pixian.imaging.compose import foreground_box
from pixian.imaging.convert import WorkingCopy
from pixian.protocol import form_fields
from pixian.protocol.errors import Refused

BYTES_PER_PIXEL = 24
"""Of a small picture: the cut-out, the photo, the composed picture, its shadow and its encoding."""


def styled_preview(job: Job, style: Style, size: Size) -> bytes:
    """Return a WebP no larger than ``size`` in the shape that the rendition will have.

    Raises RenditionError if it can't be made, and ServerFailed 503/-3 if too many are being made.
    """
    backdrop = backdrop_of(style, job.team_id)
    sides = (Side.AFTER, Side.BEFORE) if style.background is Background.BLUR else (Side.AFTER,)
    try:
        # Made first, since each reserves memory of its own.
        names = {side: preview(job, side, size) for side in sides}
        with DECODING.reserve(job.team_id, _bytes_needed(size, backdrop)):
            return _composed(_frame(job), names, style, backdrop, size)
    except (Refused, FileNotFoundError) as error:
        raise RenditionError.of(error) from error


def _bytes_needed(size: Size, backdrop: Backdrop | None) -> int:
    whole = backdrop.width * backdrop.height if backdrop else 0
    return BYTES_PER_PIXEL * size.edge**2 + backdrops.BYTES_PER_PIXEL * whole


def _composed(
    frame: form_fields.Size, names: Mapping[Side, str], style: Style, backdrop: Backdrop | None, size: Size
) -> bytes:
    cut_out = _small(names[Side.AFTER])
    height, width = cut_out.pixels.shape[:2]
    seen = foreground_box(cut_out.pixels)
    subject = seen and seen.scaled(frame[0] / width, frame[1] / height, frame)
    layout = style.lay_out(frame, subject).scaled(frame, (width, height), size.edge)
    pixels, _ = compose(cut_out, layout, style, backdrop, lambda: _small(names[Side.BEFORE]))
    return encode.webp(pixels, QUALITY, cut_out.profile)


def _frame(job: Job) -> form_fields.Size:
    """Return the size of the cut-out; only its header is read."""
    with job.result.open() as file:
        _, header = decode.open_result(cast("BinaryIO", file))
        return header.width, header.height


def _small(name: str) -> WorkingCopy:
    # Written by us a moment ago, so it needn't be checked as an upload is.
    with default_storage.open(name) as file, Image.open(file, formats=["WEBP"]) as image:
        pixels = np.array(image.convert("RGBA"))
        return WorkingCopy(pixels, image.info.get("icc_profile"), image.size)
