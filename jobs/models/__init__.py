"""Declare the tables.

Photos on their way are in ``job`` and drops of many in ``batch``, each paid call in ``attempt`` with its
verdict in ``verdicts``, styled results in ``style`` and ``rendition``, the queue's order in ``scheduling``,
the upstream's side in ``upstream_account`` and the files' in ``storage``.
"""

from jobs.models.attempt import Attempt
from jobs.models.batch import Batch, BatchFile
from jobs.models.job import Job
from jobs.models.rendition import Rendition
from jobs.models.scheduling import PeriodicTask, Ramp, Turn, WorkerHeartbeat
from jobs.models.storage import DamagedResult, Instance, ResultRound
from jobs.models.style import Backdrop, Preset, Recipe
from jobs.models.upstream_account import BalanceSnapshot, Price, Purchase, Verification

__all__ = [
    "Attempt",
    "Backdrop",
    "BalanceSnapshot",
    "Batch",
    "BatchFile",
    "DamagedResult",
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
    "Turn",
    "Verification",
    "WorkerHeartbeat",
]
