"""How many calls may be in flight at once. Source: the vendor's rule for batches, § 5 of the contract."""

START = 5
STEP_SECONDS = 300


def allowed(seconds: float, ceiling: int) -> int:
    """Calls in flight so long after a batch began: 5 at first, one more every 5 minutes, at most
    ``ceiling``."""
    return min(ceiling, START + int(max(0, seconds) // STEP_SECONDS))
