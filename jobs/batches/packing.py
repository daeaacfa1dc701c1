"""Get the file of each picture in a download: from the store, or made now, and checked in both cases."""

import time
from collections.abc import Iterator

import structlog
from django.utils.translation import gettext_noop

from jobs.batches import stored_file
from jobs.batches.export import Entry
from jobs.batches.stored_file import DamagedError
from jobs.connections import give_back
from jobs.models import Rendition
from jobs.renditions import compose, render, stored
from jobs.renditions.render import RenditionError
from jobs.storage.spool import FULL
from pixian.protocol.errors import ServerFailed

log = structlog.get_logger(__name__)

DISK_FULL = gettext_noop("The disk is full. An operator needs to free up space; then download it again.")
BUSY = gettext_noop("Too many pictures were being read. Download it again in a minute.")
TRIES, PAUSE_SECONDS = 3, 5


class LeftOutError(Exception):
    """There is no file for a picture. message: in English, to be translated when it is shown."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def fetch(entry: Entry) -> tuple[Rendition, Iterator[bytes]]:
    """Return an entry's rendition and its checked content; make it if need be; raise LeftOutError.

    Raises StorageUnavailableError if the storage is away, since then no other picture would come either.
    """
    try:
        return _fetch(entry)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise LeftOutError(DISK_FULL) from error


def _fetch(entry: Entry) -> tuple[Rendition, Iterator[bytes]]:
    row = entry.rendition or _make(entry)
    try:
        return row, stored_file.checked(row)
    except DamagedError as error:
        log.error("a rendition is damaged, and is made anew", file=str(error))  # noqa: TRY400
        stored.want_again(row)
    row = _make(entry)
    try:
        return row, stored_file.checked(row)
    except DamagedError as error:
        raise LeftOutError(compose.DAMAGED) from error


def _make(entry: Entry) -> Rendition:
    for attempt in range(TRIES):
        try:
            return render.make(entry.job, entry.output.style)
        except RenditionError as error:
            _note_failure(entry, error)
            raise LeftOutError(error.message) from error
        except ServerFailed as error:
            if attempt + 1 == TRIES:
                raise LeftOutError(BUSY) from error
            give_back()
            time.sleep(PAUSE_SECONDS)
    raise AssertionError


def _note_failure(entry: Entry, error: RenditionError) -> None:
    # The next download leaves it out without another try, so it has a size.
    failure = {"state": Rendition.State.FAILED, "due_at": None, "file": "", "problem": error.message}
    style = entry.output.style
    Rendition.objects.update_or_create(
        job=entry.job, style_sha256=style.sha256, defaults=failure | {"style": style.canonical()}
    )
