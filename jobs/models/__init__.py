"""The rows: a photo on its way (``job``), each paid call for it (``attempt``), whose turn it is (``turns``),
and the upstream's side (``account``)."""

from jobs.models.account import BalanceSnapshot, Price, Purchase, Verification
from jobs.models.attempt import Attempt
from jobs.models.job import Job
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
