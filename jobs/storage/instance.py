"""Tie a folder of files to its database by an id that both hold; otherwise no file in it is moved.

Without the id, a database that was restored to the wrong place, or an empty one, would take every file for
one that a crash left behind.
"""

from itertools import islice
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.storage import Storage, default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils.translation import gettext as _

from jobs.models import Instance, Job
from jobs.storage import files, inventory, spool

NAME = ".instance"
SAMPLE_FILES = 1000
"""The number of files to check before deciding whether a folder without an id belongs to this database."""


class ForeignFilesError(Exception):
    """The files belong to another database; the message is for an operator."""


def check() -> None:
    """Raise ForeignFilesError unless database and folder hold the same id."""
    ours, theirs = id_of_database(), id_in(default_storage)
    if ours is None or ours != theirs:
        raise ForeignFilesError(_message(ours, theirs))


def establish() -> None:
    """Give database and folder the same id if either has none and they evidently belong together.

    Raises ForeignFilesError if they don't belong together, or if each has an id of its own.
    """
    ours, theirs = id_of_database(), id_in(default_storage)
    if ours is None or theirs is None:
        if not _belong_together():
            raise ForeignFilesError(_message(ours, theirs))
        _write(_ensure_id(ours or theirs))
    check()


def adopt() -> None:
    """Claim the folder for this database, because an operator says so."""
    default_storage.delete(NAME)
    _write(_ensure_id(id_of_database()))
    check()


def id_of_database() -> UUID | None:
    return Instance.objects.values_list("pk", flat=True).first()


def id_in(storage: Storage) -> UUID | str | None:
    """Return the id that the storage holds, or the file's text if that isn't a UUID."""
    try:
        with storage.open(NAME) as file:
            text = bytes(file.read()).decode(errors="replace").strip()
    except FileNotFoundError:
        return None
    try:
        return UUID(text)
    except ValueError:
        return text


def _ensure_id(known: UUID | str | None) -> UUID:
    """Return the database's id; if it has none, store ``known`` or a new one first."""
    new = known if isinstance(known, UUID) else uuid4()
    # get_or_create: of two processes at once, both get the id of the first.
    return Instance.objects.get_or_create(only=True, defaults={"id": new})[0].pk


def _write(id_: UUID) -> None:
    if not default_storage.exists(NAME):
        text = f"{id_}\n".encode()
        with TemporaryUploadedFile(NAME, "text/plain", len(text), None) as file:  # nobody reads half of it
            file.write(text)
            stored = files.put(NAME, file)
        if stored != NAME:  # another process was faster, and Django chose another name
            default_storage.delete(stored)


def _belong_together() -> bool:
    """Return True if rows refer to most of the files; an empty folder belongs to a database without jobs."""
    names = list(islice(inventory.stored_names(), SAMPLE_FILES))
    if not names:
        return not Job.objects.exists()
    return len(inventory.referenced(names)) * 2 >= len(names)


def _message(ours: UUID | None, theirs: UUID | str | None) -> str:
    folder = spool.root() or settings.S3_BUCKET or _("the storage")
    text = _(
        "The files in %(folder)s don't belong to this database (%(theirs)s there, %(ours)s here), so none of "
        "them is moved or removed. Check that DATABASE_URL and DATA_DIR belong together; if they do, confirm "
        "it with manage.py adopt_files."
    )
    return text % {"folder": folder, "ours": ours or _("no id"), "theirs": theirs or _("no id")}
