"""Fetch the pictures of a batch that were listed as addresses, in the background.

A worker takes an address by moving its ``fetch_after`` ahead: a lease, after which another one tries. Only
the guarded fetcher connects, so no address leads into the operator's own network. Each fetched file goes the
same way as an uploaded one.

The messages are recorded in English, whole and without figures, so that each reader gets a translation.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import PurePosixPath
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import structlog
from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db.models import F
from django.utils import timezone, translation
from django.utils.translation import gettext_noop

from accounts.teams.permissions import may_spend
from jobs.batches import register
from jobs.batches.receive import receive
from jobs.batches.register import Listing, record_problem
from jobs.connections import DATABASE_AWAY, give_back
from jobs.intake.forms import UploadRefusedError
from jobs.models import Batch, BatchFile
from jobs.storage.interruptible import Stop, keep_going
from pixian.protocol.errors import Code, Refused
from pixian.protocol.file_names import UNNAMED
from pixian.protocol.text import is_storable
from pixian.server.url_fetcher import Fetcher, is_image

MAX_ADDRESSES = 500
MAX_LENGTH = 2000
SHOWN = 200
SCHEMES = ("http", "https")
AT_ONCE = 4
LEASE = timedelta(minutes=5)  # longer than AT_ONCE fetches and their pictures' checks take
MAX_FETCHES = 3
MAX_TAKEN = 2 * MAX_FETCHES
BACKOFF = (timedelta(seconds=20), timedelta(minutes=2))
LATER = timedelta(seconds=30)

UNNAMED_TYPES = ("", "application/octet-stream", "binary/octet-stream")
"""Content types of servers that don't know their files. The bytes then tell if it is a picture."""

Problem = BatchFile.Problem

PROBLEMS = {
    Code.URL_UNPARSEABLE: (
        Problem.FORBIDDEN,
        gettext_noop(
            "This address can't be used: it must be a plain http or https address of a web server. Nothing "
            "was fetched or charged."
        ),
    ),
    Code.URL_NOT_IMAGE: (
        Problem.UNREADABLE,
        gettext_noop("This address doesn't lead to a picture. Nothing was stored or charged."),
    ),
    Code.TOO_MANY_BYTES: (
        Problem.TOO_LARGE,
        gettext_noop("The file at this address is larger than 30 MB. Nothing was stored or charged."),
    ),
    Code.URL_NOT_200: (
        Problem.UNREACHABLE,
        gettext_noop(
            "The server answered with an error instead of a picture: it may be gone, or not open to "
            "everybody. Check the address; nothing was charged."
        ),
    ),
    Code.URL_FAILED: (
        Problem.UNREACHABLE,
        gettext_noop(
            "This address couldn't be fetched in three tries: its server can't be reached from here, or is "
            "too slow. Nothing was charged."
        ),
    ),
}
MAY_PASS = (Code.URL_NOT_200, Code.URL_FAILED)
"""Another try may succeed."""

NOT_A_MEMBER = gettext_noop(
    "Whoever listed this address can't add pictures to the team any more. Nothing was fetched or charged."
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Added:
    """The outcome of a list of addresses: how many are new, how many were there already, which aren't any."""

    added: int
    duplicates: int
    invalid: list[str]


@dataclass(frozen=True)
class Fetched:
    """A file to check, or the reason why there is none: Refused is the address's, any other is ours."""

    file: BatchFile
    picture: TemporaryUploadedFile | None = None
    error: Exception | None = None


@cache
def fetcher() -> Fetcher:
    """Return this process's fetcher; making one takes 25 ms, since it reads the machine's certificates."""
    return Fetcher(networks=settings.FETCH_NETWORKS, ports=settings.FETCH_PORTS)


def add(batch: Batch, addresses: Sequence[str]) -> Added:
    """List addresses of pictures, each once, for a worker to fetch; raises TooManyFilesError."""
    valid = [address for address in addresses if _is_address(address)]
    here = set(batch.files.exclude(url="").values_list("url", flat=True))
    new = [address for address in dict.fromkeys(valid) if address not in here]
    register.register(batch, [Listing(_name(address), uuid4(), url=address) for address in new])
    invalid = [address[:SHOWN] for address in addresses if not _is_address(address)]
    return Added(len(new), len(valid) - len(new), invalid)


def fetch_due(stop: Stop = keep_going) -> int:
    """Fetch the addresses that are due, a few at once, and submit their pictures; return how many."""
    tried = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while not stop() and (files := _claim(AT_ONCE)):
            files = [file for file in files if not _is_given_up(file)]
            give_back()  # the connection: a server may keep these threads waiting
            for fetched in list(pool.map(_fetch, files)):
                _finish(fetched)
            tried += len(files)
    return tried


def _claim(at_most: int) -> list[BatchFile]:
    """Take addresses that are due, so that no other worker fetches them before the lease is over."""
    now = timezone.now()
    due = BatchFile.objects.filter(fetch_after__lte=now, problem="").order_by("fetch_after")
    rows = due.select_related("batch__team", "batch__created_by")[:at_most]
    return [file for file in rows if _take(file)]


def _is_given_up(file: BatchFile) -> bool:
    """Give up a file whose tries all were cut off, perhaps because it ends the process that reads it."""
    if file.fetches > MAX_TAKEN:
        record_problem(file, *PROBLEMS[Code.URL_FAILED])
    return file.fetches > MAX_TAKEN


def _take(file: BatchFile) -> bool:
    ours = BatchFile.objects.filter(pk=file.pk, fetch_after=file.fetch_after)
    file.fetch_after, file.fetches = timezone.now() + LEASE, file.fetches + 1
    return bool(ours.update(fetch_after=file.fetch_after, fetches=F("fetches") + 1))


def _fetch(file: BatchFile) -> Fetched:
    """Fetch one address, in a thread that never talks to the database. What goes wrong is in the outcome."""
    picture = None
    try:
        # The disk may refuse a file with the ending of a long name; ``receive`` takes the name from ``file``.
        picture = TemporaryUploadedFile(UNNAMED, None, 0, None)
        picture.size = fetcher().fetch(file.url, cast("BinaryIO", picture), _may_be_picture).size
        picture.flush()  # for a full disk, as there is nothing to read yet
    except Exception as error:  # noqa: BLE001 - it is told of in ``_finish``
        _close(picture)
        return Fetched(file, error=error)
    return Fetched(file, picture)


def _close(picture: TemporaryUploadedFile | None) -> None:
    if picture is not None:
        with suppress(OSError):  # a full disk has no room for its last bytes; it is deleted all the same
            picture.close()


def _finish(fetched: Fetched) -> None:
    """Settle a file and close it. Whatever goes wrong with it, the others go on."""
    try:
        _settle(fetched)
    except DATABASE_AWAY:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            _put_off(fetched.file, str(error))
        else:  # perhaps it is the picture, for which an image library may raise anything: that counts
            log.exception("a picture can't be fetched, in an unexpected way", file=fetched.file.pk)
    finally:
        _close(fetched.picture)


def _settle(fetched: Fetched) -> None:
    """Submit a fetched picture, or record why there is none."""
    file = fetched.file
    if not BatchFile.objects.missing().filter(pk=file.pk).exists():
        # It was removed meanwhile, or an earlier try was cut off after its job was made.
        BatchFile.objects.filter(pk=file.pk).update(fetch_after=None)
    elif not may_spend(file.batch.team_id, file.batch.created_by_id):
        record_problem(file, Problem.FORBIDDEN, NOT_A_MEMBER)
    elif isinstance(fetched.error, Refused):
        _note_failure(file, fetched.error)
    elif fetched.picture is not None:
        _submit(file, fetched.picture)
    elif fetched.error:
        raise fetched.error


def _submit(file: BatchFile, picture: TemporaryUploadedFile) -> None:
    try:
        with translation.override("en"):
            receive(file, file.batch.created_by, picture)
    except UploadRefusedError as error:
        if not file.problem:
            _put_off(file, error.message)


def _put_off(file: BatchFile, why: str) -> None:
    """Fetch the file later: the fault is ours, so it isn't a try of theirs."""
    log.warning("a fetched picture is put off", file=file.pk, error=why)
    _try_again(file, LATER, fetches=file.fetches - 1)


def _note_failure(file: BatchFile, error: Refused) -> None:
    code = Code(error.code)
    if code in MAY_PASS and file.fetches < MAX_FETCHES:
        _try_again(file, BACKOFF[file.fetches - 1], fetches=file.fetches)
    else:
        record_problem(file, *PROBLEMS[code])


def _try_again(file: BatchFile, after: timedelta, *, fetches: int) -> None:
    file.fetch_after, file.fetches = timezone.now() + after, fetches
    file.save(update_fields=["fetch_after", "fetches", "updated_at"])


def _may_be_picture(content_type: str) -> bool:
    return is_image(content_type) or content_type in UNNAMED_TYPES


def _is_address(text: str) -> bool:
    if len(text) > MAX_LENGTH or not is_storable(text) or not text.isprintable():
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in SCHEMES and bool(parts.hostname)
    except ValueError:
        return False


def _name(address: str) -> str:
    return register.clean_name(unquote(PurePosixPath(urlsplit(address).path).name))


def lines(text: str) -> Iterator[str]:
    """Yield the addresses of a text, one a line."""
    yield from filter(None, map(str.strip, text.splitlines()))
