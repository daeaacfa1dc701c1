"""Keep the chunks of a large or interrupted upload until they are all here.

A chunk is stored under ``.uploads/<team>/<person>/<request id>/<offset>-<size>``, so that a listing alone
says what is there, and any web process can go on. ``jobs.storage.inventory`` leaves hidden folders alone.

What a person has unfinished is bounded: the oldest upload makes room for another one, and begins again if it
is resumed. The rest is purged after a day.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils import timezone

from jobs.storage import files, interruptible
from jobs.storage.interruptible import Stop
from pixian.protocol.limits import MAX_UPLOAD_BYTES

ROOT = ".uploads"
CHUNK_BYTES = 2 << 20
MAX_CHUNKS = 1000  # of one upload; over a slow line they are small
MAX_UNFINISHED = 32
"""Uploads of one person; with at most 30 MiB each, that is 1 GB."""

STALE = timedelta(hours=24)
NAME = re.compile(r"(\d{10})-([1-9]\d{0,9})")


class Chunk(NamedTuple):
    """A stored chunk; it is never empty."""

    offset: int
    size: int
    name: str


@dataclass(frozen=True)
class UnfinishedUpload:
    """The chunks of one person's file that have arrived so far."""

    team: int
    person: int
    request_id: UUID

    @property
    def folder(self) -> str:
        return f"{_folder_of(self.team, self.person)}/{self.request_id}"

    def add(self, offset: int, content: bytes) -> None:
        """Store a chunk completely or not at all; one that is here already isn't stored again."""
        name = f"{self.folder}/{offset:010}-{len(content)}"
        here = self._chunks()
        if any(chunk.name == name for chunk in here):
            return
        if not here:
            _make_room(self.team, self.person)
        elif sum(chunk.size for chunk in here) + len(content) > MAX_UPLOAD_BYTES or len(here) > MAX_CHUNKS:
            self.discard()  # chunks that overlap, which no browser of ours sends
        with TemporaryUploadedFile("chunk", None, 0, None) as file:
            file.write(content)
            stored = files.put(name, file)
        if stored != name:  # the same chunk came twice at once
            default_storage.delete(stored)

    def received(self) -> int:
        """Return how many bytes are here from the beginning on, without a gap."""
        return sum(chunk.size for chunk in self._in_order())

    def assemble(self) -> TemporaryUploadedFile:
        """Return the file up to the first gap; the caller closes it."""
        whole = TemporaryUploadedFile("upload", None, 0, None)
        try:
            # A repeated request may have finished the upload meanwhile, and removed its chunks.
            with suppress(FileNotFoundError):
                for chunk in self._in_order():
                    with default_storage.open(chunk.name) as file:
                        shutil.copyfileobj(file, whole)
        except BaseException:
            whole.close()
            raise
        whole.size = whole.tell()
        whole.seek(0)
        return whole

    def discard(self) -> None:
        _remove(self.folder)

    def _chunks(self) -> list[Chunk]:
        """Return what is here, sorted by offset and then by size."""
        matches = filter(None, map(NAME.fullmatch, _names(self.folder)))
        return sorted(Chunk(int(match[1]), int(match[2]), f"{self.folder}/{match[0]}") for match in matches)

    def _in_order(self) -> Iterator[Chunk]:
        """Yield the chunks that follow each other, of several at one offset the longest."""
        longest = {chunk.offset: chunk for chunk in self._chunks()}
        end = 0
        while chunk := longest.get(end):
            yield chunk
            end += chunk.size


def purge(stop: Stop = interruptible.keep_going) -> int:
    """Remove the uploads to which nothing was added for a day; return how many."""
    before, purged = timezone.now() - STALE, 0
    for folder in _unfinished(ROOT):
        if stop():
            break
        latest = _latest(folder)
        if latest is None or latest < before:
            _remove(folder)
            purged += 1
    return purged


def _make_room(team: int, person: int) -> None:
    """Remove a person's oldest uploads until another one may begin."""
    folder = _folder_of(team, person)
    unfinished = [f"{folder}/{name}" for name in _folders(folder)]
    if len(unfinished) < MAX_UNFINISHED:
        return
    long_ago = timezone.now() - STALE
    unfinished.sort(key=lambda name: _latest(name) or long_ago)
    for name in unfinished[: len(unfinished) - MAX_UNFINISHED + 1]:
        _remove(name)


def _unfinished(root: str) -> Iterator[str]:
    for team in _folders(root):
        for person in _folders(f"{root}/{team}"):
            for request_id in _folders(f"{root}/{team}/{person}"):
                yield f"{root}/{team}/{person}/{request_id}"


def _latest(folder: str) -> datetime | None:
    """Return when the last chunk was added; None if there is none."""
    times = []
    for name in _names(folder):
        with suppress(FileNotFoundError):
            times.append(default_storage.get_modified_time(f"{folder}/{name}"))
    return max(times, default=None)


def _remove(folder: str) -> None:
    for name in _names(folder):
        default_storage.delete(f"{folder}/{name}")
    with suppress(OSError):  # a chunk has come in between, or the storage has no folders
        default_storage.delete(folder)


def _folder_of(team: int, person: int) -> str:
    return f"{ROOT}/{team}/{person}"


def _folders(folder: str) -> list[str]:
    return _listed(folder)[0]


def _names(folder: str) -> list[str]:
    return _listed(folder)[1]


def _listed(folder: str) -> tuple[list[str], list[str]]:
    try:
        folders, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return [], []
    return list(folders), list(names)
