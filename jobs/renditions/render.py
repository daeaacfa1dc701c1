"""Make renditions from a job's master at 0 credits, and find those that are made already."""

from collections.abc import Iterable

from django.core.files.storage import default_storage
from django.utils.translation import gettext_noop

from jobs.models import Job, Rendition
from jobs.renditions import stored
from jobs.renditions.decode_limit import DECODING
from jobs.renditions.master import Master
from jobs.renditions.stored import Made
from jobs.renditions.style import Style
from pixian.imaging import encode
from pixian.protocol.errors import Refused

BYTES_PER_PIXEL = 16  # the source, the cut-out, the composed picture and its encoding

NOT_DONE = gettext_noop("The picture isn't cut out yet.")
DAMAGED = gettext_noop("The picture's files are damaged or missing. An operator needs to check the storage.")


class RenditionError(Exception):
    """A rendition that can't be made. message: in English, to be translated when it is shown."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def make(job: Job, style: Style) -> Rendition:
    """Return the rendition of a job in a style, its file stored; it is made if it isn't there.

    Raises RenditionError if it can't be made, ServerFailed 503/-3 if too many pictures are being read right
    now, and OSError if the disk is full.
    """
    row = Rendition.objects.filter(job=job, style_sha256=style.sha256, state=Rendition.State.MADE).first()
    if row and default_storage.exists(str(row.file)):
        return row
    if not job.result:
        raise RenditionError(NOT_DONE)
    return stored.record(job, style, _render(job, style))


def cached(jobs: Iterable[int], style: Style) -> dict[int, Rendition]:
    """Return the renditions in this style that are made already, by the keys of their jobs."""
    made = Rendition.objects.filter(job__in=jobs, style_sha256=style.sha256, state=Rendition.State.MADE)
    return {row.job_id: row for row in made}


def _render(job: Job, style: Style) -> Made:
    try:
        with DECODING.reserve(job.team_id, BYTES_PER_PIXEL * job.width * job.height):
            cut_out = Master(job).cut_out
            content = encode.encode(cut_out.pixels, style.options, cut_out.profile)
            return Made(content, style.format.content_type, cut_out.pixels.shape[1::-1])
    except (Refused, FileNotFoundError) as error:
        raise RenditionError(DAMAGED) from error
