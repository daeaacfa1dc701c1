"""Notify workers that a job is due, if they don't poll.

A message says no more than "look": claims decide which worker does what. So a lost message costs a short
delay and one too many costs nothing, and an upload is accepted while the broker is away.
"""

from functools import cache, partial
from typing import Protocol, cast

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from jobs.connections import give_back

log = structlog.get_logger(__name__)


class Notifier(Protocol):
    """Sends this many messages to workers; raises OSError if the broker can't be reached."""

    def __call__(self, times: int) -> None: ...


def after_commit(times: int = 1) -> None:
    """Notify this many workers once this transaction is committed."""
    transaction.on_commit(partial(send, times))


def send(times: int) -> None:
    """Send this many messages; without a broker the jobs are found later."""
    give_back()  # the connection: a broker may keep this thread waiting
    try:
        _notifier()(times)
    except OSError as error:
        log.warning("the broker can't be reached; jobs start once it is back", error=str(error))


def skip(times: int) -> None:
    """Send nothing: workers that poll need no messages."""


@cache
def _notifier() -> Notifier:
    return cast("Notifier", import_string(settings.WAKE_WORKERS))
