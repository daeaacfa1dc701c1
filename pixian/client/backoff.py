"""Linear back-off after a 429, as the vendor asks of its clients (§ 5 of the contract)."""

from dataclasses import dataclass

STEP_SECONDS = 5

MAX_RETRY_AFTER_SECONDS = 60 * 60
"""A thread obeys no longer wait than this, which only a proxy or a fault would ask for, and asks again."""


def linear_wait(refusals_in_a_row: int, retry_after: int | None = None) -> int:
    """Return the seconds to wait after the n-th 429 in a row: n × 5, or ``retry_after`` if that is longer."""
    return max(STEP_SECONDS * refusals_in_a_row, min(retry_after or 0, MAX_RETRY_AFTER_SECONDS))


@dataclass
class Backoff:
    """One thread's count of 429s in a row; the threads of a process back off independently."""

    refusals: int = 0

    def refused(self, retry_after: int | None = None) -> int:
        """Count a 429 and return the seconds to wait before the next request."""
        self.refusals += 1
        return linear_wait(self.refusals, retry_after)

    def served(self) -> None:
        self.refusals = 0
