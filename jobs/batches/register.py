"""List the files that a batch will get before their bytes arrive.

So a batch knows what is missing after a lost line, a closed tab or a restarted browser.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from uuid import UUID, uuid4

from django.db.models import Q, QuerySet
from django.utils import timezone

from jobs.intake.forms import oversize_message
from jobs.models import Batch, BatchFile, Job
from jobs.queue import claims
from pixian.protocol import file_names

MAX_FILES = 2000
MAX_AT_ONCE = 500
MAX_NUMBER = 1_000_000
MAX_FOLDER = 500
MAX_COUNT = 2**31 - 1  # the database's columns
ABANDONED_AFTER = timedelta(minutes=5)
SHA256 = re.compile(r"[0-9a-f]{64}")

Problem = BatchFile.Problem


class TooManyFilesError(Exception):
    """The batch would get more than MAX_FILES files. None was listed."""


class NotAFileError(ValueError):
    """A listed file without an id or a name of the right type."""


@dataclass(frozen=True)
class Listing:
    """A file as the browser describes it, made safe to store. None or "": the browser couldn't tell.

    number: its place in the drop, from 1; None for the next free one. folder: relative, such as
    ``shoes/red``. sha256: of the file as it was chosen. url: where a worker fetches it from.
    """

    name: str
    request_id: UUID
    number: int | None = None
    folder: str = ""
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    sha256: str = ""
    url: str = ""

    @classmethod
    def parse(cls, data: object) -> Self:
        """Return what a script's JSON says; raise NotAFileError."""
        if not isinstance(data, Mapping):
            raise NotAFileError("not an object")
        sha256 = data.get("sha256")
        return cls(
            name=clean_name(_text(data, "name")),
            request_id=_uuid(data),
            number=_count(data, "number", MAX_NUMBER),
            folder=clean_folder(_text(data, "folder", "")),
            bytes=_count(data, "bytes", MAX_COUNT),
            width=_count(data, "width", MAX_COUNT),
            height=_count(data, "height", MAX_COUNT),
            sha256=sha256 if isinstance(sha256, str) and SHA256.fullmatch(sha256) else "",
        )

    @property
    def problem(self) -> dict[str, str]:
        """Return the problem that a file has by its size alone, so that nobody uploads it in vain."""
        message = oversize_message(self.bytes or 0, (self.width or 0) * (self.height or 0))
        return {"problem": Problem.TOO_LARGE, "message": message} if message else {}

    def row(self, batch: Batch, number: int) -> BatchFile:
        columns = {name: getattr(self, name) for name in ("folder", "bytes", "width", "height", "sha256")}
        return BatchFile(
            batch=batch,
            request_id=self.request_id,
            number=number,
            name=self.name,
            url=self.url,
            fetch_after=timezone.now() if self.url else None,
            **columns,
            **self.problem,
        )


def named(name: str) -> Listing:
    """Return the listing of a file that a plain form sends, of which only the name is known."""
    return Listing(name=clean_name(name), request_id=uuid4())


def register(batch: Batch, listings: Iterable[Listing]) -> None:
    """List files of the batch; those that are listed already stay as they are. Raises TooManyFilesError.

    A number that another file has, because two people add to the batch at once, becomes the next free one.
    """
    with claims.writing():
        erased_at = Batch.objects.select_for_update(no_key=True).get(pk=batch.pk).erased_at
        taken = dict(batch.files.values_list("request_id", "number"))
        new = {each.request_id: each for each in listings if each.request_id not in taken}
        if len(taken) + len(new) > MAX_FILES:
            raise TooManyFilesError(f"{len(taken)} + {len(new)}")
        if erased_at and new:  # it gets pictures again
            Batch.objects.filter(pk=batch.pk).update(erased_at=None)
        numbers = _numbers(list(new.values()), set(taken.values()))
        BatchFile.objects.bulk_create(
            each.row(batch, number) for each, number in zip(new.values(), numbers, strict=True)
        )


def uploaded(batch: Batch, request_ids: Sequence[UUID]) -> list[UUID]:
    """Return those of the files whose bytes have arrived, in their order."""
    jobs = Job.objects.filter(team=batch.team_id, request_id__in=request_ids)
    arrived = set(jobs.values_list("request_id", flat=True))
    return [request_id for request_id in request_ids if request_id in arrived]


def refused(batch: Batch, request_ids: Sequence[UUID]) -> dict[str, str]:
    """Return the messages of those of the files that can't be cut out."""
    rows = batch.files.exclude(problem="").filter(request_id__in=request_ids)
    return {str(request_id): message for request_id, message in rows.values_list("request_id", "message")}


def missing(batch: Batch) -> QuerySet[BatchFile]:
    """Return the files that a browser still has to send, in order."""
    return batch.files.missing().filter(url="").order_by("number")


def is_abandoned(batch: Batch) -> bool:
    """Tell if nothing of the batch has changed for a while: no tab seems to upload what is missing."""
    changed = Q(updated_at__gt=timezone.now() - ABANDONED_AFTER)
    return not (batch.files.filter(changed).exists() or batch.jobs.filter(changed).exists())


def record_problem(file: BatchFile, problem: str, message: str) -> None:
    """Record why a file isn't cut out, for everybody who looks at the batch."""
    limit = BatchFile._meta.get_field("message").max_length
    file.problem, file.message, file.fetch_after = problem, message[:limit], None
    file.save(update_fields=["problem", "message", "fetch_after", "updated_at"])


def clean_name(text: str) -> str:
    """Return a file's name, safe to store and to show: composed, printable, without a path."""
    return file_names.clean(unicodedata.normalize("NFC", text)) or file_names.UNNAMED


def clean_folder(text: str) -> str:
    """Return a relative folder whose parts are each a safe name, without ``..``."""
    parts = unicodedata.normalize("NFC", text).replace("\\", "/").split("/")
    return "/".join(filter(None, map(file_names.clean, parts)))[:MAX_FOLDER].rstrip("/ ")


def _numbers(listings: Sequence[Listing], taken: set[int]) -> Iterator[int]:
    asked = {each.number for each in listings if each.number}
    following = max(taken | asked, default=0)
    for each in listings:
        number = each.number
        if number is None or number in taken:
            number = following = following + 1
        taken.add(number)
        yield number


def _uuid(data: Mapping[str, Any]) -> UUID:
    try:
        return UUID(_text(data, "request_id"))
    except ValueError as error:
        raise NotAFileError("request_id") from error


def _text(data: Mapping[str, Any], name: str, default: object = None) -> str:
    value = data.get(name, default)
    if not isinstance(value, str):
        raise NotAFileError(name)
    return value


def _count(data: Mapping[str, Any], name: str, most: int) -> int | None:
    value = data.get(name)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most
    return value if is_count else None
