"""The rows: a photo on its way (``job``), whose turn it is (``turns``), the upstream's side (``account``)."""

from jobs.models.account import BalanceSnapshot, Price, Purchase, Verification
from jobs.models.job import Attempt, Job
from jobs.models.turns import Chore, Presence, Ramp, Turn

__all__ = [
    "Attempt",
    "BalanceSnapshot",
    "Chore",
    "Job",
    "Presence",
    "Price",
    "Purchase",
    "Ramp",
    "Turn",
    "Verification",
]
