"""Declare the tables.

Photos on their way are in ``job``, each paid call in ``attempt`` with its verdict in ``verdicts``, the
queue's order in ``scheduling``, the upstream's side in ``upstream_account`` and the files' in ``storage``.
"""

from jobs.models.attempt import Attempt
from jobs.models.job import Job
from jobs.models.scheduling import PeriodicTask, Ramp, Turn, WorkerHeartbeat
from jobs.models.storage import DamagedResult, Instance, ResultRound
from jobs.models.upstream_account import BalanceSnapshot, Price, Purchase, Verification

__all__ = [
    "Attempt",
    "BalanceSnapshot",
    "DamagedResult",
    "Instance",
    "Job",
    "PeriodicTask",
    "Price",
    "Purchase",
    "Ramp",
    "ResultRound",
    "Turn",
    "Verification",
    "WorkerHeartbeat",
]
