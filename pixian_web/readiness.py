"""Probe what this instance needs to do its work, without waiting for a part that hangs."""

import time
from collections.abc import Callable
from threading import Event, Lock, Thread

import structlog
from django.conf import settings
from django.db import connection

from pixian_web import health
from pixian_web.health import components, work
from pixian_web.health.components import Finding

log = structlog.get_logger(__name__)

WAIT_SECONDS = 1
"""Leaves enough of a probe's two seconds on a busy machine."""

FRESH_SECONDS = 1
"""So long a finding is told again, however many ask."""


class Probe:
    """One run of a check, in a thread of its own; ``is_fine`` is meaningful once ``done`` is set."""

    def __init__(self, check: Callable[[], Finding]) -> None:
        self.started_at = time.monotonic()
        self.done = Event()
        self.is_fine = False
        self.says = "no answer yet"
        self._check = check

    def start(self) -> None:
        # A check can't be interrupted, so one that hangs leaves its thread behind; a daemon doesn't keep the
        # process.
        Thread(target=self._run, name="probe", daemon=True).start()

    def _run(self) -> None:
        try:
            self.is_fine, self.says = health.run(self._check)
        finally:
            self.done.set()
            connection.close()

    def wait(self) -> bool:
        """Return True if the part was found fine within ``WAIT_SECONDS`` of the start."""
        self.done.wait(max(0, self.started_at + WAIT_SECONDS - time.monotonic()))
        return self.is_fine

    @property
    def is_current(self) -> bool:
        """True if it is under way, or has ended so recently that another one isn't worth it."""
        return not self.done.is_set() or time.monotonic() < self.started_at + FRESH_SECONDS


_lock = Lock()
_probes: dict[str, Probe] = {}
_told: dict[str, bool] = {}


def parts() -> dict[str, bool]:
    """Return each part with True if it is fine, within two seconds.

    Simultaneous callers share one probe of each part, so that they use up neither the database's connections
    nor, while a part hangs, this process's threads.
    """
    with _lock:
        probes = {name: _probe(name, check) for name, check in _checks().items()}
    return {name: _tell(name, probe) for name, probe in probes.items()}


def database_answers() -> bool:
    """Return True if the database responds, within two seconds."""
    with _lock:
        probe = _probe("database", components.database)
    return probe.wait()


def _checks() -> dict[str, Callable[[], Finding]]:
    checks = {
        "database": components.database,
        "storage": work.storage,
        "workers": components.running_workers,
        "disk": work.disk,
    }
    return checks | ({"broker": components.broker} if settings.CELERY_BROKER_URL else {})


def _probe(name: str, check: Callable[[], Finding]) -> Probe:
    probe = _probes.get(name)
    if probe is None or not probe.is_current:
        probe = _probes[name] = Probe(check)
        probe.start()
    return probe


def _tell(name: str, probe: Probe) -> bool:
    """Return the finding, and log it if it is another one than before: the response doesn't say why."""
    is_fine = probe.wait()
    if is_fine != _told.get(name, True):
        if is_fine:
            log.info("a part is fine again", part=name)
        else:
            log.error("a part isn't fine", part=name, says=probe.says)
    _told[name] = is_fine
    return is_fine
