"""Copy all files from the folder to the bucket or back, and delete originals whose copies are right.

A copy appears at once and whole, or not at all: the bucket compares an upload with its MD5, and a download is
compared before its rename. So a run may be cut off anywhere, and the next one goes on from what is there.

Both storages are listed in the same order, side by side, so that memory doesn't grow with their number.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from jobs.models import Job
from jobs.storage import files, instance, inventory, quarantine, spool, strays
from jobs.storage.files import CHUNK_BYTES
from jobs.storage.instance import ForeignFilesError
from jobs.storage.s3 import S3Storage, StoredObject

AT_ONCE = 500
EXTRAS_AT_ONCE = 10_000
"""Each time, the rows of all purged jobs are read."""

EXTRAS_NAMED = 10
SURELY_LATER = timedelta(hours=1)
"""A copy so much younger than its original is of its last content: none is written for so long."""

LEFT_ALONE = (f"{spool.NAME}/", "lost+found/")
OWN_FOLDER = re.compile(r"(?:.+/)?[0-9a-f]{32}")
"""A folder that only one job has (``files.new_source_name``)."""

MD5 = re.compile(r"[0-9a-f]{32}")

Pair = tuple[StoredObject, StoredObject | None]
"""An original, and what the other storage has by its name."""


class WrongCopyError(Exception):
    """A file isn't in its copy as it is in its original, which is kept."""


@dataclass
class Counts:
    """Files and bytes that a run has dealt with so far.

    erased: copies deleted since their pictures were deleted for good. extra: other files that only the other
    storage has; extra_names: of the first ones.
    """

    copied: int = 0
    copied_bytes: int = 0
    there: int = 0
    deleted: int = 0
    erased: int = 0
    extra: int = 0
    extra_names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Move:
    """From the folder to the bucket, or back."""

    folder: FileSystemStorage
    bucket: S3Storage
    to_bucket: bool
    threads: int = 8

    def check(self) -> None:
        """Raise ForeignFilesError unless the originals are this database's, and nobody else's are there."""
        source, target = (self.folder, self.bucket) if self.to_bucket else (self.bucket, self.folder)
        ours, theirs = instance.id_of_database(), instance.id_in(target)
        if ours is None or instance.id_in(source) != ours:
            raise ForeignFilesError("The files to copy don't belong to this database.")
        is_empty = theirs is None and next(self._copies(), None) is None
        if theirs != ours and not is_empty:
            raise ForeignFilesError("The files in the other storage don't belong to this database.")

    def copy(self, on_progress: Callable[[Counts], object]) -> Counts:
        """Copy what isn't there yet, the id first, by which the other storage is known as ours."""
        counts = Counts()
        self._copy(next(row for row in self._originals() if row.name == instance.NAME))
        for pair, is_new in self._each(self._copy_if_new, counts, on_progress):
            counts.there += not is_new
            counts.copied += is_new
            counts.copied_bytes += pair[0].size * is_new
        return counts

    def delete_originals(self, on_progress: Callable[[Counts], object]) -> Counts:
        """Delete each original whose copy has the same content; raise WrongCopyError at one that differs.

        An old original without a copy goes too if no row names it: its picture was deleted since.
        """
        counts = Counts()
        for (original, copy), is_gone in self._each(self._delete_if_same, counts, on_progress):
            counts.deleted += is_gone
            if copy is None and original.name != instance.NAME:
                if inventory.referenced([original.name]):
                    raise WrongCopyError(original.name)
                if timezone.now() - original.modified > strays.GRACE:  # else its row may follow
                    self._delete(original.name, in_bucket=not self.to_bucket)
                    counts.deleted += 1
        return counts

    def _each(
        self, do: Callable[[Pair], bool], counts: Counts, on_progress: Callable[[Counts], object]
    ) -> Iterator[tuple[Pair, bool]]:
        """Do something for each file in several threads; yield what came of it."""
        extras = list[str]()

        def note(extra: StoredObject) -> None:
            extras.append(extra.name)
            if len(extras) == EXTRAS_AT_ONCE:
                self._sort_out(extras, counts)

        pairs = _side_by_side(self._originals(), self._copies(), note)
        with ThreadPoolExecutor(self.threads) as pool:
            while some := list(islice(pairs, AT_ONCE)):
                yield from zip(some, pool.map(do, some), strict=True)
                on_progress(counts)
        self._sort_out(extras, counts)

    def _sort_out(self, extras: list[str], counts: Counts) -> None:
        """Delete copies whose pictures the site has deleted for good since; count the others."""
        erased = _erased(extras)
        for name in erased:
            self._delete(name, in_bucket=self.to_bucket)
        left = [name for name in extras if name not in erased]
        counts.erased += len(erased)
        counts.extra += len(left)
        counts.extra_names += left[: EXTRAS_NAMED - len(counts.extra_names)]
        extras.clear()

    def _originals(self) -> Iterator[StoredObject]:
        return _in_folder(self.folder) if self.to_bucket else self.bucket.objects()

    def _copies(self) -> Iterator[StoredObject]:
        return self.bucket.objects() if self.to_bucket else _in_folder(self.folder)

    def _copy_if_new(self, pair: Pair) -> bool:
        original, copy = pair
        with suppress(FileNotFoundError):  # deleted meanwhile, since the site may be at work
            if copy is None or copy.size != original.size:
                return self._copy(original)
            # What has just been written is compared by its content.
            is_later = copy.modified - original.modified > SURELY_LATER
            return not (is_later or self._is_same(original, copy)) and self._copy(original)
        return False

    def _copy(self, original: StoredObject) -> bool:
        if self.to_bucket:
            with self.folder.open(original.name) as file:
                self.bucket.save(original.name, file)
        else:
            with self.bucket.open(original.name) as fetched:
                self._place(original, fetched)
        return True

    def _place(self, original: StoredObject, fetched: "File[bytes]") -> None:
        """Put a fetched file into the folder, on the disk with all its bytes before it has its name."""
        path = Path(self.folder.path(original.name))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(prefix="copy.", dir=settings.FILE_UPLOAD_TEMP_DIR, delete=False) as near:
            try:
                self._write(original, fetched, near)
                Path(near.name).replace(path)
            except BaseException:  # the disk is full, for one
                Path(near.name).unlink(missing_ok=True)
                raise
        files.sync_folder(path.parent)

    def _write(self, original: StoredObject, fetched: "File[bytes]", near: "IO[bytes]") -> None:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in fetched.chunks(CHUNK_BYTES):
            near.write(chunk)
            digest.update(chunk)
        near.flush()
        os.fsync(near.fileno())
        if MD5.fullmatch(original.etag) and digest.hexdigest() != original.etag:
            raise WrongCopyError(original.name)

    def _is_same(self, original: StoredObject, copy: StoredObject) -> bool:
        """Compare the content with the bucket's MD5; with the bytes if it has none, or another kind."""
        in_bucket = copy if self.to_bucket else original
        local = _md5(self.folder.open(in_bucket.name))
        return local == in_bucket.etag or local == _md5(self.bucket.open(in_bucket.name))

    def _delete_if_same(self, pair: Pair) -> bool:
        original, copy = pair
        if copy is None or original.name == instance.NAME:
            return False  # the id says whose the others are, if this run is cut off
        try:
            is_right = copy.size == original.size and self._is_same(original, copy)
        except FileNotFoundError:  # the site has deleted the copy meanwhile, which the next run then sees
            return False
        if not is_right:
            raise WrongCopyError(original.name)
        self._delete(original.name, in_bucket=not self.to_bucket)
        return True

    def _delete(self, name: str, *, in_bucket: bool) -> None:
        if in_bucket:
            self.bucket.delete(name)
        else:
            path = Path(self.folder.path(name))
            path.unlink(missing_ok=True)
            with suppress(OSError):  # other files of the same job are still in it
                path.parent.rmdir()


def _side_by_side(
    originals: Iterable[StoredObject],
    copies: Iterator[StoredObject],
    on_extra: Callable[[StoredObject], object],
) -> Iterator[Pair]:
    """Yield each original with its copy; tell of copies without an original. Both are sorted by name."""
    copy = next(copies, None)
    for original in originals:
        while copy and copy.name.encode() < original.name.encode():
            on_extra(copy)
            copy = next(copies, None)
        is_there = copy is not None and copy.name == original.name
        yield original, copy if is_there else None
        if is_there:
            copy = next(copies, None)
    while copy:
        on_extra(copy)
        copy = next(copies, None)


def _erased(names: Iterable[str]) -> set[str]:
    """Return those of the files that are of pictures deleted for good: no row names them, nor ever will."""
    olds = {name: _old_name(name) for name in names}
    folders = {name: old.rpartition("/")[0] for name, old in olds.items()}
    wanted = set(filter(OWN_FOLDER.fullmatch, folders.values()))
    if not wanted:
        return set()
    sources = Job.objects.exclude(purged_at=None).order_by().values_list("source", flat=True)
    purged = wanted.intersection(source.rpartition("/")[0] for source in sources.iterator())
    found = {name for name, folder in folders.items() if folder in purged}
    named = inventory.referenced(olds[name] for name in found) if found else set()
    return {name for name in found if olds[name] not in named}


def _old_name(name: str) -> str:
    """Return the name that a file had before it was moved to quarantine."""
    return name.split("/", 2)[-1] if name.startswith(f"{quarantine.NAME}/") else name


def _in_folder(storage: FileSystemStorage) -> Iterator[StoredObject]:
    yield from _walk(Path(storage.location), "")


def _walk(folder: Path, prefix: str) -> Iterator[StoredObject]:
    """Yield all files in the order in which a bucket lists them: by the bytes of their whole names."""
    found = list[str]()
    with suppress(FileNotFoundError), os.scandir(folder) as entries:  # deleted meanwhile
        found += [(f"{entry.name}/" if entry.is_dir() else entry.name) for entry in entries]
    for name in sorted(found, key=str.encode):
        if not prefix and name in LEFT_ALONE:
            continue
        if name.endswith("/"):
            yield from _walk(folder / name, prefix + name)
            continue
        with suppress(FileNotFoundError):  # deleted meanwhile
            status = (folder / name).stat()
            modified = datetime.fromtimestamp(status.st_mtime, UTC)
            yield StoredObject(prefix + name, status.st_size, "", modified)


def _md5(file: "File[bytes]") -> str:
    with file:
        return hashlib.file_digest(file, "md5").hexdigest()
