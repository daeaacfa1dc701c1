"""The promises of a restore: what was forgotten, what may not be called again, and what may not be gone."""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Sum
from django.db.models.functions import Coalesce

from chaos.clients import Acknowledged
from chaos.system import System
from chaos.upstream import Log
from jobs.models import Attempt, BalancePeriod, Job
from jobs.queue import claims
from jobs.storage import inventory, quarantine

AGED_SECONDS = 2 * 60 * 60
State = Job.State


@dataclass(frozen=True)
class Forgotten:
    """Gaps of a restored database.

    microcredits: all that was charged and that no attempt states. lost: acknowledged pictures without a job.
    unsent: pictures that wait as if they had never been sent; paid: those that were charged since the dump.
    """

    microcredits: int
    lost: list[Acknowledged]
    unsent: frozenset[str]
    paid: frozenset[str]


def forgotten(log: Log, told: Collection[Acknowledged], dumped_at: float) -> Forgotten:
    """Compare the database, before anything runs on it, with the upstream's log and the clients' notes."""
    jobs = set(Job.objects.values_list("source_sha256", flat=True))
    made = Attempt.objects.filter(state__in=claims.CALL_MADE)
    waiting = Job.objects.filter(state__in=[State.QUEUED, State.KEPT, State.RUNNING], batch__isnull=False)
    unsent = frozenset(waiting.exclude(pk__in=made.values("job")).values_list("source_sha256", flat=True))
    charged = {charge.sha256 for charge in log.charges if charge.microcredits and charge.at > dumped_at}
    lost = [each for each in told if each.sha256 not in jobs]
    return Forgotten(unstated_microcredits(log), lost, unsent, unsent & charged)


def unstated_microcredits(log: Log) -> int:
    """Return what the upstream has charged and no attempt states."""
    stated = Coalesce("resolved_microcredits", "charged_microcredits", 0)
    sent = Attempt.objects.filter(sent_at__isnull=False)
    return log.total_microcredits - (sent.aggregate(sum=Sum(stated))["sum"] or 0)


def called_again(log: Log, pictures: Collection[str], since: float) -> Iterator[str]:
    """Name the calls since then for pictures that were paid for already."""
    for call in log.calls:
        if call.at > since and call.sha256 in pictures:
            yield f"call {call.n} was made for a picture that had been paid for since the dump"


def missing_microcredits() -> int:
    """Return what the balances lack by the product's own books, over all periods."""
    periods = BalancePeriod.objects.select_related("opening", "closing")
    return sum(period.missing for period in periods)


class Files:
    """The stored files as they are now, by name."""

    def __init__(self, system: System) -> None:
        self._folder = Path(system.environment.folder, "data/files")
        self.names = set(inventory.stored_names())

    def gone(self) -> set[str]:
        """Return the names of those that are neither in their place nor in quarantine any more."""
        return self.names - set(inventory.stored_names()) - {file.name for file in quarantine.contents()}

    def moved(self) -> int:
        """Return how many of them are in quarantine."""
        return len(self.names & {file.name for file in quarantine.contents()})

    def age(self) -> None:
        """Make all files, those in the spool too, old enough for every sweep."""
        then = time.time() - AGED_SECONDS
        for path in self._folder.rglob("*"):
            with suppress(FileNotFoundError):
                os.utime(path, (then, then))
