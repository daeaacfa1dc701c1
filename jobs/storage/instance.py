"""Which database a folder of files belongs to: both hold the same id, or nothing in the folder is moved.

Without it a database that was restored into the wrong place, or an empty one, would take every file for one
that crashes left behind.
"""

from itertools import islice
from uuid import UUID, uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _

from jobs.models import Instance, Job
from jobs.storage import files

NAME = ".instance"
SAMPLE = 1000
"""So many files are looked at to tell whether a folder without an id is this database's."""


class ForeignFilesError(Exception):
    """The files belong to another database; the message says it to an operator."""


def check() -> None:
    """Raises ForeignFilesError unless database and folder hold the same id."""
    ours, theirs = _ours(), _theirs()
    if ours is None or ours != theirs:
        raise ForeignFilesError(_sentence(ours, theirs))


def establish() -> None:
    """Give database and folder one id if either has none and they visibly belong together. Raises
    ForeignFilesError if they don't, or if each has an id of its own."""
    ours, theirs = _ours(), _theirs()
    if ours is None or theirs is None:
        if not _belongs():
            raise ForeignFilesError(_sentence(ours, theirs))
        _write(_kept(ours or theirs))
    check()


def adopt() -> None:
    """Let the folder belong to this database from now on, because an operator says so."""
    default_storage.delete(NAME)
    _write(_kept(_ours()))
    check()


def _ours() -> UUID | None:
    return Instance.objects.values_list("pk", flat=True).first()


def _theirs() -> UUID | str | None:
    """The folder's id; as it stands there if it can't be read as one."""
    try:
        with default_storage.open(NAME) as file:
            text = bytes(file.read()).decode(errors="replace").strip()
    except FileNotFoundError:
        return None
    try:
        return UUID(text)
    except ValueError:
        return text


def _kept(known: UUID | str | None) -> UUID:
    """The database's id; ``known`` or a new one if it has none. Two who get here at once keep the same."""
    made = known if isinstance(known, UUID) else uuid4()
    return Instance.objects.get_or_create(only=True, defaults={"id": made})[0].pk


def _write(id_: UUID) -> None:
    if not default_storage.exists(NAME):
        stored = default_storage.save(NAME, ContentFile(f"{id_}\n".encode()))
        if stored != NAME:  # somebody else was faster
            default_storage.delete(stored)


def _belongs() -> bool:
    """Whether most of the folder's files are this database's; an empty folder belongs to an empty
    database."""
    found = list(islice(files.stored_names(), SAMPLE))
    if not found:
        return not Job.objects.exists()
    return len(files.named_among(found)) * 2 >= len(found)


def _sentence(ours: UUID | None, theirs: UUID | str | None) -> str:
    where = getattr(default_storage, "location", None) or _("the storage")
    said = _(
        "The files in %(folder)s aren't this database's (%(theirs)s there, %(ours)s here), so none of them "
        "is moved or removed. Look whether DATABASE_URL and DATA_DIR belong together; if they do, say so "
        "with manage.py adopt_files."
    )
    return said % {"folder": where, "ours": ours or _("no id"), "theirs": theirs or _("no id")}
