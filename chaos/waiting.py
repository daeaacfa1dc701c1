"""Wait for what other processes do."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def wait_for(happened: Callable[[], object], seconds: float, what: str) -> None:
    """Return once it happened; raises TimeoutError, which names it, if it doesn't in time."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} didn't happen within {seconds} s")
        time.sleep(POLL_SECONDS)
