"""Tells workers that a job is due, where they would not look by themselves.

A message says no more than "look": claims decide who does what. So one that is lost costs a short delay and
one too many costs nothing, and an upload is accepted while the broker is away.
"""

from functools import cache, partial
from typing import Protocol, cast

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from jobs.connections import give_back

log = structlog.get_logger(__name__)


class Wake(Protocol):
    def __call__(self, times: int) -> None: ...


def after_commit() -> None:
    """One look is worth it once this transaction is through."""
    transaction.on_commit(partial(look, 1))


def look(times: int) -> None:
    """So many looks."""
    give_back()  # the connection: a broker may keep this thread waiting
    try:
        _wake()(times)
    except OSError as error:
        log.warning("the broker can't be reached; jobs start once it is back", error=str(error))


def nobody(times: int) -> None:
    """Workers that poll need no waking."""


@cache
def _wake() -> Wake:
    return cast("Wake", import_string(settings.WAKE_WORKERS))
