"""Refuse what can't be stored, with a message instead of a failed page."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.utils.translation import gettext as _

from jobs.intake.forms import UploadRefusedError
from jobs.storage.files import StorageUnavailableError
from jobs.storage.spool import FULL

INSUFFICIENT_STORAGE, UNAVAILABLE = 507, 503

log = structlog.get_logger(__name__)


@contextmanager
def refusing() -> Iterator[None]:
    """Raise UploadRefusedError in place of OSError: 507 for a full disk, 503 for a storage that is away."""
    try:
        yield
    except StorageUnavailableError as error:
        log.error("the storage can't be used", error=str(error))  # noqa: TRY400 - as below
        message = _(
            "The storage of the pictures doesn't answer, so nothing was stored and no credits were held. Try "
            "again in a minute; if it goes on, tell the person who runs this site."
        )
        raise UploadRefusedError(message, UNAVAILABLE) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        log.error("the disk is full", error=str(error))  # noqa: TRY400 - a traceback adds nothing
        message = _(
            "The server's disk is full, so nothing was stored and no credits were held. Tell the "
            "person who runs this site."
        )
        raise UploadRefusedError(message, INSUFFICIENT_STORAGE) from error
