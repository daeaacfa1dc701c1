"""Count what calls, results and webhooks come to, for Prometheus.

Only what no row says lies here: what happened how often, and how long it took. How much there is at a time is
read from the database (``pixian_web.metrics``). No label names a person, a team or a file, so the number of
series is bounded. Each metric has a label, since those without one would exist in every command.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from pixian.protocol.errors import PixianError

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)
OK, FAILED = "ok", "failed"
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")

_calls = Histogram(
    "pixian_upstream_call_seconds", "Calls to the upstream, to their last byte", ["outcome"], buckets=SECONDS
)
_waits = Counter("pixian_upstream_wait_seconds", "Seconds waited because the upstream asked to", ["origin"])
_results = Counter("pixian_results_stored", "Results stored and booked", ["origin"])
_deliveries = Counter("pixian_webhook_deliveries", "Tries to deliver an event to a webhook", ["outcome"])


@contextmanager
def timing_call() -> Iterator[None]:
    """Count a call by its time and outcome: OK, the name of the contract's error, or FAILED for ours."""
    began, outcome = time.monotonic(), FAILED
    try:
        yield
        outcome = OK
    except PixianError as error:
        outcome = _CAPITAL.sub("_", type(error).__name__).lower()
        raise
    finally:
        _calls.labels(outcome).observe(time.monotonic() - began)


def count_wait(origin: str, seconds: float) -> None:
    _waits.labels(origin).inc(seconds)


def count_result(origin: str) -> None:
    _results.labels(origin).inc()


def count_delivery(*, delivered: bool) -> None:
    _deliveries.labels("delivered" if delivered else "failed").inc()
