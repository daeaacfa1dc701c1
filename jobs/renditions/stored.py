"""Store a rendition's file beside its job's other files, and record it in its row."""

import hashlib
import zlib
from dataclasses import dataclass
from functools import partial

import structlog
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction
from django.utils import timezone

from jobs import usage_days
from jobs.models import Job, Rendition
from jobs.renditions.style import Style
from jobs.storage import files
from pixian.protocol.form_fields import Size

log = structlog.get_logger(__name__)

NAME_DIGITS = 16
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Made:
    """An encoded picture. The same cut-out and style always make the same bytes."""

    content: bytes
    content_type: str
    size: Size

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def file_name(job: Job, style: Style) -> str:
    """Return the name of the rendition, beside the job's source.

    A job that shows another one's files has its renditions in that one's folder: the same style makes the
    same file.
    """
    folder = str(job.source.name).rpartition("/")[0]
    return f"{folder}/rendition-{style.sha256[:NAME_DIGITS]}.{style.format.extension}"


def record(job: Job, style: Style, made: Made) -> Rendition:
    """Store the file, then write the row, which so never refers to a file that isn't there."""
    columns = {
        "style": style.canonical(),
        "state": Rendition.State.MADE,
        "file": _store(file_name(job, style), made),
        "content_type": made.content_type,
        "sha256": made.sha256,
        "bytes": len(made.content),
        "crc32": zlib.crc32(made.content),
        "width": made.size[0],
        "height": made.size[1],
    }
    return write(job, style, columns)


def write(job: Job, style: Style, columns: dict[str, object]) -> Rendition:
    """Make or change the row of this job and style, which isn't due any more; count it if it is new."""
    columns = columns | {"due_at": None, "problem": "", "updated_at": timezone.now()}
    rows = Rendition.objects.filter(job=job, style_sha256=style.sha256)
    with transaction.atomic():
        # Two processes may get here at once: the second one waits for the first one's row, and then finds
        # that it has a hash.
        Rendition.objects.bulk_create([Rendition(job=job, style_sha256=style.sha256)], ignore_conflicts=True)
        if rows.filter(sha256="").update(**columns):
            usage_days.count_rendition(job)
        else:
            rows.update(**columns)
    return rows.get()


def want_again(row: Rendition) -> None:
    """Let a damaged or lost rendition be made anew, and delete what is left of its file."""
    again = {"state": Rendition.State.WANTED, "due_at": timezone.now(), "file": ""}
    # The row first: it must not promise a file that is deleted. Nothing, if it was made anew meanwhile.
    if Rendition.objects.filter(pk=row.pk, state=Rendition.State.MADE, file=str(row.file)).update(**again):
        try:
            default_storage.delete(str(row.file))
        except OSError as error:
            if files.concerns_all(error):
                raise
            # The new one gets another name.
            log.error("a damaged file can't be deleted", file=str(row.file), error=str(error))  # noqa: TRY400


def _store(name: str, made: Made) -> str:
    """Store the file completely or not at all; return its name."""
    # A crash between storing and the row leaves the file behind, and two processes may make it at once. It
    # is the same file then. If it isn't, an older release made it: the new one gets another name.
    if _holds(name, made):
        return name
    with TemporaryUploadedFile(name.rpartition("/")[2], made.content_type, len(made.content), None) as file:
        file.write(made.content)
        return files.put(name, file)


def _holds(name: str, made: Made) -> bool:
    try:
        if default_storage.size(name) != len(made.content):
            return False
        with default_storage.open(name) as file:
            digest = hashlib.sha256()
            for chunk in iter(partial(file.read, CHUNK_BYTES), b""):
                digest.update(chunk)
        return digest.hexdigest() == made.sha256
    except OSError as error:
        if files.concerns_all(error):
            raise
        return False
