"""Run one claimed job in a worker, from its claim to its booking.

``jobs.calls.execute`` makes the call, ``jobs.calls.decisions`` says what an error means, and
``jobs.calls.outcomes`` books it; here the worker acts on the decision and learns how long its thread has to
wait. A program's call is run by its web process (``jobs.calls.direct``); only what a crash left of it ends
here.
"""

from datetime import timedelta

import structlog
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from accounts import request_id
from jobs import metrics
from jobs.calls import attempts, outcomes
from jobs.calls.decisions import FAILURES, Decision, Next
from jobs.calls.execute import book_result, execute, store_result
from jobs.calls.upstream import Upstream
from jobs.connections import give_back
from jobs.models import Attempt, Job, Ramp
from jobs.queue import workers
from jobs.queue.claims import Reason
from jobs.storage import files, leftovers, quarantine, spool
from jobs.storage.spool import ResultFile
from pixian.client.backoff import Backoff
from pixian.client.client import OK
from pixian.protocol import errors

log = structlog.get_logger(__name__)

UNREACHABLE_WAIT_SECONDS = 60  # at most
OPERATOR_WAIT_SECONDS = 60  # before the upstream is asked again if an operator has mended what only they can

RESULT_WAITS_AT_MOST = timedelta(days=1)


def process(job: Job, upstream: Upstream, backoff: Backoff) -> int:
    """Bring a claimed job as far as it goes; raises LostLeaseError if another worker has it.

    Returns the seconds that this thread has to wait before its next call.
    """
    attempt = _last_attempt(job)
    of_call = bound_contextvars(job=job.pk, attempt=f"{job.pk}/{attempt.number}")
    with request_id.working_for(attempt.http_request_id), of_call:
        wait = _act(job, attempt, upstream, backoff)
        log.info("job", team=job.team.slug, state=job.state, reason=job.reason or None)
    return wait


def _act(job: Job, attempt: Attempt, upstream: Upstream, backoff: Backoff) -> int:
    match attempt.state:
        case Attempt.State.PREPARED if job.is_direct:
            # Its program has been cut off, and nobody waits for the result.
            outcomes.fail_without_charge(job, attempt, Reason.INTERRUPTED)
        case Attempt.State.PREPARED:
            return _call(job, attempt, upstream, backoff)
        case Attempt.State.SENT:
            outcomes.handle_lost_response(job, attempt, upstream)
        case Attempt.State.ANSWERED:
            return _resume(job, attempt, upstream)
        case _:
            raise attempts.WrongStateError(f"{attempt} has ended, and its job was queued")
    return 0


def _last_attempt(job: Job) -> Attempt:
    """Read all that its booking needs to know at once: the hold, and whose account it was made from."""
    attempt = job.attempts.select_related("hold__debit__team").latest("number")
    if attempt.hold and attempt.hold.debit.team:
        job.team = attempt.hold.debit.team
    return attempt


def _call(job: Job, attempt: Attempt, upstream: Upstream, backoff: Backoff) -> int:
    give_back()  # the connection, since the upstream may keep this thread waiting
    try:
        upstream.ensure_verified()
        execute(job, attempt, upstream)
    except FAILURES as error:
        return _handle_error(job, attempt, error, upstream, backoff)
    backoff.served()
    return 0


def _handle_error(job: Job, attempt: Attempt, error: Exception, upstream: Upstream, backoff: Backoff) -> int:
    """Act on what an error means; return the seconds that this thread has to wait."""
    decision = outcomes.decide(attempt, error, upstream)
    outcomes.report(decision, error, upstream)
    response = error if isinstance(error, errors.ApiError) else None
    if decision.next in (Next.RESEND, Next.AWAIT_OPERATOR):
        seconds = _pause(job, decision, response, backoff)
        wait = _wait(job, attempt, decision.reason, seconds, response)
        return 0 if isinstance(error, files.SourceUnreadableError) else wait  # it says nothing of other calls
    if decision.next is Next.AWAIT_ROOM:
        outcomes.wait_for_room(job, str(error))
    elif decision.is_unanswered:
        outcomes.handle_lost_response(job, attempt, upstream)
    elif response:
        outcomes.handle_error_response(job, attempt, decision, response)
    else:
        with outcomes.booking(job, attempt):
            outcomes.end(job, attempt, decision)
    return 0


def _pause(job: Job, decision: Decision, response: errors.ApiError | None, backoff: Backoff) -> int:
    if decision.next is Next.AWAIT_OPERATOR:
        return OPERATOR_WAIT_SECONDS
    if response:
        seconds = backoff.refused(response.retry_after)
        metrics.count_wait(job.origin, seconds)
        return seconds
    return min(backoff.refused(), UNREACHABLE_WAIT_SECONDS)


def _wait(job: Job, attempt: Attempt, reason: Reason, seconds: int, response: errors.ApiError | None) -> int:
    if job.is_direct:
        outcomes.fail_without_charge(job, attempt, Reason.INTERRUPTED, response)
        return 0
    outcomes.postpone(job, attempt, reason, seconds, response)
    return seconds


def _resume(job: Job, attempt: Attempt, upstream: Upstream) -> int:
    """Go on from a recorded answer whose process died before it dealt with it."""
    name = files.result_name(job, attempt.number)
    if attempt.status != OK:
        error = errors.from_response(attempt.status or 0, None)
        return _handle_error(job, attempt, error, upstream, Backoff())
    try:
        found = files.find_result(name)
    except OSError as error:  # it is there, perhaps whole, and paid for
        outcomes.wait_for_room(job, str(error))
        return 0
    if found:
        book_result(job, attempt, name, *found)
    elif body := leftovers.find(job, attempt):
        _store(job, attempt, body, upstream)
    elif _may_lie_elsewhere(job) and not _is_given_up(attempt):
        outcomes.wait_for_room(job, "the result lies on another machine")
    else:
        outcomes.handle_lost_response(job, attempt, upstream)
        quarantine.set_aside(name)
    return 0


def _store(job: Job, attempt: Attempt, body: ResultFile, upstream: Upstream) -> None:
    """Go on from a body that was left in the spool."""
    body.is_wanted = True
    with spool.cleaning_up(body):
        try:
            store_result(job, attempt, body, upstream)
        except files.NotStoredError as error:
            outcomes.wait_for_room(job, str(error))


def _may_lie_elsewhere(job: Job) -> bool:
    """Tell if the body may be in another machine's spool: each has its own if results go to a bucket."""
    return job.reason == Reason.RESULT_WAITS or (spool.root() is None and workers.other_machines().exists())


def _is_given_up(attempt: Attempt) -> bool:
    """Tell if no worker has found the result for so long that none will; few look while calls are stopped."""
    ramp = Ramp.objects.filter(pk=1).first() or Ramp()
    looked_since = max(filter(None, [attempt.answered_at, ramp.started_at]), default=timezone.now())
    return not ramp.stopped_at and timezone.now() - looked_since > RESULT_WAITS_AT_MOST
