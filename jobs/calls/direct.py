"""Make a program's call while the program waits, and return the error to respond with.

The same decisions as a worker's (``jobs.calls.decisions``), but nothing is postponed: after a short pause
the call goes again, or the program gets the error.
"""

import time
from collections.abc import Callable

from jobs import metrics
from jobs.calls import attempts, outcomes, responses
from jobs.calls.decisions import FAILURES, Decision, Hold, Next
from jobs.calls.execute import Listener, execute
from jobs.calls.upstream import Upstream
from jobs.connections import give_back
from jobs.models import Attempt, Job
from jobs.queue.claims import Reason
from pixian.client.backoff import Backoff
from pixian.protocol.errors import ApiError, OutOfTime, SlowDown

MAX_OUT_OF_TIME = 2  # so many times the call goes again if the upstream had too little time left to begin

RESPONSES: dict[Reason, Callable[[], ApiError]] = {
    Reason.ACCOUNT: responses.out_of_order,
    Reason.NOT_PIXIAN: responses.out_of_order,
    Reason.UNREACHABLE: responses.unreachable,
    Reason.DISK_FULL: responses.disk_full,
    Reason.STORAGE: responses.storage_away,
    Reason.SOURCE_LOST: responses.out_of_order,
}


def call(job: Job, attempt: Attempt, upstream: Upstream, until: float, listener: Listener) -> ApiError | None:
    """Bring the job to its end; return the error to respond with, or None if there is a result.

    until: on the monotonic clock, how long an upstream's 429 is waited out.
    """
    backoff, out_of_time = Backoff(), 0
    while True:
        try:
            upstream.ensure_verified()
            execute(job, attempt, upstream, listener)
        except FAILURES as error:
            decision = outcomes.decide(attempt, error, upstream)
            if not (isinstance(error, SlowDown | OutOfTime) and _was_refused(decision)):
                return _respond(job, attempt, decision, error, upstream)
            out_of_time += isinstance(error, OutOfTime)
            seconds = _pause(error, backoff)
            metrics.count_wait(job.origin, seconds)
            if out_of_time > MAX_OUT_OF_TIME or time.monotonic() + seconds > until:
                later = type(error)(error.status, error.code, error.message, retry_after=seconds or None)
                return _pass_on(job, attempt, later)
            with outcomes.booking(job, attempt):
                attempts.unsend(attempt, error)
            give_back()  # the connection meanwhile
            time.sleep(seconds)
        else:
            return responses.of(job)


def _was_refused(decision: Decision) -> bool:
    """Tell if nothing was charged, so that the call may go again."""
    return decision.hold in (Hold.KEEP, Hold.RELEASE)


def _pause(error: ApiError, backoff: Backoff) -> int:
    """Return the seconds before the same call goes again. Having been too late is no reason to slow down."""
    if isinstance(error, OutOfTime):
        return error.retry_after or 0
    return backoff.refused(error.retry_after)


def _respond(
    job: Job, attempt: Attempt, decision: Decision, error: Exception, upstream: Upstream
) -> ApiError | None:
    """Book what came instead of a result; return the error to respond with."""
    outcomes.report(decision, error, upstream)
    response = error if isinstance(error, ApiError) else None
    if decision.next is Next.AWAIT_ROOM:
        outcomes.wait_for_room(job, str(error))
        return responses.result_waits()
    if decision.is_unanswered:
        outcomes.handle_lost_response(job, attempt, upstream)
        return responses.cut_off() if job.reason == Reason.PASSED_ON else responses.of(job)
    if decision.reason in RESPONSES:
        return _pass_on(job, attempt, RESPONSES[decision.reason](), response)
    if response is None:
        raise error
    outcomes.handle_error_response(job, attempt, decision, response)
    is_passing = decision.next is Next.RETRY and decision.hold is Hold.RELEASE
    # Otherwise out of the rows, as a repetition of the same request gets it.
    return response if is_passing else responses.of(job)


def _pass_on(job: Job, attempt: Attempt, response: ApiError, error: ApiError | None = None) -> ApiError:
    outcomes.fail_without_charge(job, attempt, Reason.PASSED_ON, error or response)
    return response
