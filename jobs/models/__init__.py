"""The rows: a photo on its way (``job``), each paid call for it (``attempt``), whose turn it is (``turns``),
the upstream's side (``account``), and the files' (``storage``)."""

from jobs.models.account import BalanceSnapshot, Price, Purchase, Verification
from jobs.models.attempt import Attempt
from jobs.models.job import Job
from jobs.models.storage import DamagedResult, Instance, ResultRound
from jobs.models.turns import Chore, Presence, Ramp, Turn

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
