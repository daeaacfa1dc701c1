"""Make renditions from a job's master at 0 credits, and find those that are made already."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from django.core.files.storage import default_storage
from django.utils.translation import gettext_noop

from jobs.models import Job, Rendition
from jobs.renditions import backdrops, stored
from jobs.renditions.compose import DAMAGED, RenditionError, backdrop_of, compose, encoded
from jobs.renditions.decode_limit import DECODING
from jobs.renditions.master import Master
from jobs.renditions.stored import Made
from jobs.renditions.style import Format, Style
from jobs.storage import files
from pixian.imaging import delta_png
from pixian.imaging.compose import foreground_box
from pixian.imaging.layout import most_pixels
from pixian.protocol.errors import Refused

__all__ = ["RenditionError", "cached", "make", "make_each"]

log = structlog.get_logger(__name__)

MASTER_BYTES, RESULT_BYTES = 16, 9
"""For a pixel of the source while its delta is merged, and of the composed picture with its encoding."""

NOT_DONE = gettext_noop("The picture isn't cut out yet.")
ERASED = gettext_noop("The picture was deleted.")
NO_DELTA = gettext_noop("A delta PNG needs the cut-out in its full frame, which this picture doesn't have.")


def make(job: Job, style: Style) -> Rendition:
    """Return the rendition of a job in a style, its file stored; it is made if it isn't there.

    Raises RenditionError if it can't be made, ServerFailed 503/-3 if too many pictures are being read right
    now, and OSError if the disk is full or the storage is away.
    """
    try:
        return _make(job, style)
    except OSError as error:
        if files.concerns_all(error):
            raise
        log.error("a picture's file can't be read or written", job=job.pk, error=str(error))  # noqa: TRY400
        raise RenditionError(DAMAGED) from error


def _make(job: Job, style: Style) -> Rendition:
    row = Rendition.objects.filter(job=job, style_sha256=style.sha256, state=Rendition.State.MADE).first()
    if row and default_storage.exists(str(row.file)):
        return row
    with _opened(job, [style]) as master:
        return stored.record(job, style, _render(master, style))


def make_each(job: Job, styles: Sequence[Style]) -> Iterator[tuple[Style, RenditionError | None]]:
    """Make several renditions of a job from one decoded master; yield each style with what went wrong.

    Raises ServerFailed as ``make`` does, RenditionError if none can be made, and OSError, which may pass.
    """
    with _opened(job, styles) as master:
        for style in styles:
            try:
                stored.record(job, style, _render(master, style))
            except RenditionError as error:
                yield style, error
            else:
                yield style, None


def cached(jobs: Iterable[int], style: Style) -> dict[int, Rendition]:
    """Return the renditions in this style that are made already, by the keys of their jobs."""
    made = Rendition.objects.filter(job__in=jobs, style_sha256=style.sha256, state=Rendition.State.MADE)
    return {row.job_id: row for row in made}


@contextmanager
def _opened(job: Job, styles: Sequence[Style]) -> Iterator[Master]:
    """Reserve the memory for the costliest of the styles, and yield the master."""
    if not job.has_result:
        raise RenditionError(NOT_DONE if job.erased_at is None else ERASED)
    with DECODING.reserve(job.team_id, max(_bytes_needed(job, style) for style in styles)):
        yield Master(job)


def _bytes_needed(job: Job, style: Style) -> int:
    frame = job.width, job.height
    try:
        result = most_pixels(frame, style.options)
    except Refused:  # too large, and refused before any pixel of it
        result = 0
    # One that is gone needs no memory.
    backdrop = backdrops.size_of(job.team_id, style.backdrop) if style.backdrop else 0
    return MASTER_BYTES * frame[0] * frame[1] + RESULT_BYTES * result + backdrops.BYTES_PER_PIXEL * backdrop


def _render(master: Master, style: Style) -> Made:
    try:
        if style.format is Format.DELTA_PNG:
            return _delta(master, style)
        cut_out = master.cut_out
        height, width = cut_out.pixels.shape[:2]
        layout = style.lay_out((width, height), foreground_box(cut_out.pixels))
        backdrop = backdrop_of(style, master.job.team_id)
        pixels, is_opaque = compose(cut_out, layout, style, backdrop, lambda: master.original)
        content = encoded(pixels, style, cut_out.profile, is_opaque=is_opaque)
    except (Refused, FileNotFoundError) as error:
        raise RenditionError.of(error) from error
    return Made(content, style.format.content_type, layout.size)


def _delta(master: Master, style: Style) -> Made:
    cut_out, original = master.cut_out, master.original
    if cut_out.pixels.shape != original.pixels.shape:
        raise RenditionError(NO_DELTA)
    content = delta_png.encode(original.pixels, cut_out.pixels, cut_out.profile)
    height, width = cut_out.pixels.shape[:2]
    return Made(content, style.format.content_type, (width, height))
