"""Write a batch's ZIP, file by file, while it is sent.

If everything in it is made already, its bytes are known beforehand: it has a size and a hash, and can be
continued from any byte. What isn't made yet is made on the way, and kept, so that the next download has a
size. No file goes in before all of it was compared with what was stored. One that is damaged is made anew; if
that fails too, it is left out, the manifest says why, and the rest goes on.
"""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import structlog
from django.utils import translation

from jobs.batches import archive, export, manifest, packing, stored_file
from jobs.batches.archive import Archive, Member
from jobs.batches.export import MANIFEST, Entry, Selection
from jobs.batches.manifest import Line
from jobs.batches.packing import LeftOutError
from jobs.connections import give_back
from jobs.models import Batch, Rendition

log = structlog.get_logger(__name__)


class ChangedError(Exception):
    """A file can't be sent as it was announced. The download breaks off, since it would be torn."""


@dataclass(frozen=True)
class Download:
    """A ZIP of a batch's pictures as they were when this was made. without_job: the manifest's last lines."""

    entries: list[Entry]
    without_job: list[Line]
    language: str

    @classmethod
    def of(cls, batch: Batch, selection: Selection) -> "Download":
        without_job = list(export.files_without_job(batch, selection))
        return cls(export.chosen(batch, selection), without_job, translation.get_language() or "en")

    @property
    def wanted(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.is_wanted]

    def sized(self) -> "SizedDownload | None":
        """Return the download with its size, if all its files are made and seem to be whole."""
        rows = [entry.rendition for entry in self.wanted]
        if any(row is None or not stored_file.seems_whole(row) for row in rows):
            return None
        return SizedDownload(self, manifest.text(self.lines()))

    def lines(self) -> Iterator[Line]:
        """Yield the manifest's lines as far as they are known without making anything."""
        yield from (entry.line(entry.rendition) for entry in self.entries)
        yield from self.without_job

    def stream(self) -> Iterator[bytes]:
        """Yield the ZIP; what isn't made yet is made."""
        zip_file, lines = Archive(), list[Line]()
        for entry in self.entries:
            try:
                row, content = packing.fetch(entry) if entry.is_wanted else (None, iter(()))
            except LeftOutError as error:
                log.warning("a picture was left out of a download", job=entry.job.pk, reason=error.message)
                row, content, entry = None, iter(()), replace(entry, problem=error.message)  # noqa: PLW2901
            if row:
                give_back()  # the database's connection: the client may read slowly
                yield zip_file.begin(_member(entry.name, row))
                yield from content
            with translation.override(self.language):
                lines.append(entry.line(row))
        content_of_manifest = manifest.text([*lines, *self.without_job])
        yield zip_file.begin(_manifest_member(content_of_manifest)) + content_of_manifest + zip_file.end()


@dataclass(frozen=True)
class SizedDownload:
    """A ZIP whose bytes are known before they are written."""

    download: Download
    manifest: bytes

    @cached_property
    def rows(self) -> list[tuple[Entry, Rendition]]:
        return [(entry, entry.rendition) for entry in self.download.wanted if entry.rendition]

    @cached_property
    def parts(self) -> list[archive.Part]:
        members = [_member(entry.name, row) for entry, row in self.rows]
        return archive.layout([*members, _manifest_member(self.manifest)])

    @property
    def size(self) -> int:
        return self.parts[-1].stop

    @property
    def etag(self) -> str:
        """Return the strong validator: the same names and hashes always make the same bytes."""
        digest = hashlib.sha256(self.manifest)
        for entry, row in self.rows:
            digest.update(f"{row.sha256} {entry.name}\n".encode())
        return f'"{digest.hexdigest()[:40]}"'

    def stream(self, first: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from ``first`` to before ``stop``. Members before them aren't read."""
        give_back()
        for part, wanted in archive.between(self.parts, first, self.size if stop is None else stop):
            content = self._content(part)
            yield from _cut(content, wanted)

    def _content(self, part: archive.Part) -> Iterator[bytes]:
        if part.record is not None:
            return iter((part.record,))
        if part.member == len(self.rows):
            return iter((self.manifest,))
        entry, announced = self.rows[part.member]
        try:
            row, content = packing.fetch(entry)
        except LeftOutError as error:
            raise ChangedError(f"job {entry.job.pk}: {error.message}") from error
        if (row.sha256, row.bytes) != (announced.sha256, announced.bytes):
            raise ChangedError(f"job {entry.job.pk}: it was made anew, and differs")
        return content


def _member(name: str, row: Rendition) -> Member:
    return Member(name, row.bytes or 0, row.crc32 or 0)


def _manifest_member(content: bytes) -> Member:
    return Member(MANIFEST, len(content), zlib.crc32(content))


def _cut(content: Iterator[bytes], wanted: slice) -> Iterator[bytes]:
    """Yield the wanted slice of a content that comes in pieces."""
    position = 0
    for chunk in content:
        first, stop = max(0, wanted.start - position), wanted.stop - position
        position += len(chunk)
        if piece := chunk[first : max(0, stop)]:
            yield piece
        if position >= wanted.stop:
            return
