"""The ramp-up of concurrent calls that the vendor asks of a batch (§ 5 of the contract)."""

START = 5
STEP_SECONDS = 300


def allowed(seconds: float, ceiling: int) -> int:
    """Return the number of calls allowed in flight, ``seconds`` after the batch began.

    5 at first and one more every 5 minutes, up to ``ceiling``.
    """
    return min(ceiling, START + int(max(0, seconds) // STEP_SECONDS))
