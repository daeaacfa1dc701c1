"""``manage.py move_files --to s3|files``: copy all files to the bucket, or back, and delete the originals."""

from argparse import ArgumentParser
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from accounts.management.arguments import whole_number
from jobs.storage import spool
from jobs.storage.files import StorageUnavailableError
from jobs.storage.instance import ForeignFilesError
from jobs.storage.moving import Counts, Move, WrongCopyError

SAID_EVERY_SECONDS = 10
MAX_THREADS = 100


class Command(BaseCommand):
    help = (
        "Copy all files between the folder and the bucket, and compare each copy. It may be interrupted and "
        "run again. Originals are kept unless --delete-originals is given."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", choices=("s3", "files"), required=True, help="where the copies go")
        parser.add_argument(
            "--threads", type=whole_number(1, MAX_THREADS), default=8, help="files at once (8)"
        )
        parser.add_argument(
            "--delete-originals",
            action="store_true",
            help="copy nothing; delete each original whose copy is the same, once the site uses the copies",
        )

    def handle(self, *_: Any, to: str, threads: int, delete_originals: bool, **_options: Any) -> None:
        if not settings.S3_BUCKET:
            raise CommandError("S3_BUCKET isn't set. For this command alone, set it in the environment.")
        # As the settings make them: this one needs both, whichever the site uses.
        folder, bucket = storages["files"], storages["s3"]
        move = Move(folder, bucket, to_bucket=to == "s3", threads=threads)  # type: ignore[arg-type]
        self._said_at = monotonic()
        try:
            move.check()
            if delete_originals:  # which may be of pictures that were deleted since, so none is copied again
                counts = move.delete_originals(self._say)
                self.stdout.write(f"Deleted originals: {counts.deleted}.")
            else:
                counts = move.copy(self._say)
                size = filesizeformat(counts.copied_bytes)
                self.stdout.write(f"Copied: {counts.copied} files, {size}. There already: {counts.there}.")
            self._report_extras(counts)
        except WrongCopyError as error:
            raise CommandError(
                f"The copy of {error} is missing or differs, so its original is kept. Copy it again first."
            ) from error
        except (ForeignFilesError, StorageUnavailableError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            if error.errno not in spool.FULL:
                raise
            raise CommandError(f"The disk is full: {error}. Free up space, then run this again.") from error

    def _say(self, counts: Counts) -> None:
        if monotonic() - self._said_at >= SAID_EVERY_SECONDS:
            self._said_at = monotonic()
            self.stdout.write(
                f"{counts.copied} copied, {counts.there} there already, {counts.deleted} deleted …"
            )

    def _report_extras(self, counts: Counts) -> None:
        if counts.erased:
            self.stdout.write(f"Deleted there, as their pictures were deleted: {counts.erased}.")
        if counts.extra:
            names = ", ".join(counts.extra_names)
            self.stdout.write(f"Only there, and left alone: {counts.extra}, such as {names}.")
