"""Refuse what there is no room for, with a message instead of a failed page."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.utils.translation import gettext as _

from jobs.intake.forms import UploadRefusedError
from jobs.storage.spool import FULL

INSUFFICIENT_STORAGE = 507

log = structlog.get_logger(__name__)


@contextmanager
def refusing() -> Iterator[None]:
    """Raise UploadRefusedError 507 in place of a full disk's OSError."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        log.error("the disk is full", error=str(error))  # noqa: TRY400 - a traceback adds nothing
        message = _(
            "The server's disk is full, so nothing was stored and no credits were held. Tell the "
            "person who runs this site."
        )
        raise UploadRefusedError(message, INSUFFICIENT_STORAGE) from error
