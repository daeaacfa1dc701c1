"""The rows: a photo on its way (``job``), each paid call for it (``attempt``), whose turn it is (``turns``),
the upstream's side (``account``), and the files' (``storage``)."""

from jobs.models.attempt import Attempt
from jobs.models.job import Job
from jobs.models.scheduling import Chore, Presence, Ramp, Turn
from jobs.models.storage import DamagedResult, Instance, ResultRound
from jobs.models.upstream_account import BalanceSnapshot, Price, Purchase, Verification

__all__ = [
    "Attempt",
    "BalanceSnapshot",
    "Chore",
    "DamagedResult",
    "Instance",
    "Job",
    "Presence",
    "Price",
    "Purchase",
    "Ramp",
    "ResultRound",
    "Turn",
    "Verification",
]
