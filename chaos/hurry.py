"""Waits that operators want and chaos can't afford, shortened in the process that asks for it.

The product's own constants stay as they are: an experiment's workers are forked from a process in which
these were changed. What they shorten is when something happens, never whether.
"""

from jobs.calls import execute, outcomes
from jobs.worker import pool, run, shared_claims
from pixian.client import backoff, ramp_up

STEP_SECONDS = 0.1
"""Between two calls after a 429, and between two attempts after a 5xx: 5 s."""

POLL_SECONDS = 0.05
"""Between two looks at an empty queue: 0.2 s."""

INSIST_STEP_SECONDS = 0.1
"""Between two tries to write an answer down: 1 s."""

WAIT_SECONDS = 0.5
"""At most without a connection, until an operator has acted, and until a result that couldn't be stored is
looked for again: 60 s."""

CALLS_AT_FIRST = 1000
"""In flight; 5. A killed worker's calls count until their leases end, and here many die."""


def up() -> None:
    """From here on, and in every process forked from this one."""
    for module in (backoff, outcomes, pool):
        module.STEP_SECONDS = STEP_SECONDS  # type: ignore[attr-defined]
    shared_claims.POLL_SECONDS = POLL_SECONDS
    execute.INSIST_STEP_SECONDS = INSIST_STEP_SECONDS  # type: ignore[assignment]
    outcomes.ROOM_WAIT_SECONDS = WAIT_SECONDS  # type: ignore[assignment]
    run.UNREACHABLE_WAIT_SECONDS = run.OPERATOR_WAIT_SECONDS = WAIT_SECONDS  # type: ignore[assignment]
    ramp_up.START = CALLS_AT_FIRST
