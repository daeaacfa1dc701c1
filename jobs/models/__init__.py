"""Declare the tables.

Photos on their way are in ``job`` and drops of many in ``batch``, each paid call in ``attempt`` with its
verdict in ``verdicts``, styled results in ``style`` and ``rendition``, the queue's order in ``scheduling``,
the upstream's side in ``upstream_account`` and ``balance_period``, and the files' in ``storage``. ``usage``
sums up, ``events`` tells programs and people, ``reports`` are people's own, and ``decisions`` about several
calls.
"""

from jobs.models.attempt import Attempt
from jobs.models.balance_period import BalancePeriod
from jobs.models.batch import Batch, BatchFile
from jobs.models.decisions import BulkDecision
from jobs.models.events import Alert, Delivery, Event, EventKind, Webhook
from jobs.models.job import Job
from jobs.models.rendition import Rendition
from jobs.models.reports import BadResult
from jobs.models.scheduling import PeriodicTask, Ramp, Turn, WorkerHeartbeat
from jobs.models.storage import DamagedResult, Instance, ResultRound, TeamStorage
from jobs.models.style import Backdrop, Preset, Recipe
from jobs.models.upstream_account import (
    BalanceSnapshot,
    Price,
    Purchase,
    UpstreamAccount,
    Verification,
)
from jobs.models.usage import UsageDay

__all__ = [
    "Alert",
    "Attempt",
    "Backdrop",
    "BadResult",
    "BalancePeriod",
    "BalanceSnapshot",
    "Batch",
    "BatchFile",
    "BulkDecision",
    "DamagedResult",
    "Delivery",
    "Event",
    "EventKind",
    "Instance",
    "Job",
    "PeriodicTask",
    "Preset",
    "Price",
    "Purchase",
    "Ramp",
    "Recipe",
    "Rendition",
    "ResultRound",
    "TeamStorage",
    "Turn",
    "UpstreamAccount",
    "UsageDay",
    "Verification",
    "Webhook",
    "WorkerHeartbeat",
]
