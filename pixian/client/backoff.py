"""How long to wait after a 429. Source: the vendor's rule, § 5 of the contract."""

from dataclasses import dataclass

STEP_SECONDS = 5


def linear_wait(refusals_in_a_row: int, retry_after: int | None = None) -> int:
    """Seconds before the next request after the n-th 429 in a row: n × 5, or what the server asks
    for where that is more. The count belongs to one thread and returns to 0 after a success."""
    return max(STEP_SECONDS * refusals_in_a_row, retry_after or 0)


@dataclass
class Backoff:
    """One thread's count of refusals in a row."""

    refusals: int = 0

    def refused(self, retry_after: int | None = None) -> int:
        """Count a 429 and say how many seconds to wait for it."""
        self.refusals += 1
        return linear_wait(self.refusals, retry_after)

    def served(self) -> None:
        self.refusals = 0
