"""The ramp-up of concurrent calls that the vendor asks of a batch (§ 5 of the contract)."""

START = 5
"""The most calls that a batch may begin with, unless Pixian has agreed to more."""

STEP_SECONDS = 300


def allowed(seconds: float, start: int, ceiling: int) -> int:
    """Return the number of calls allowed in flight, ``seconds`` after the batch began.

    ``start`` at first and one more every 5 minutes, up to ``ceiling``.
    """
    return min(ceiling, start + int(max(0, seconds) // STEP_SECONDS))
