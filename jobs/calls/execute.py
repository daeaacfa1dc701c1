"""Make a call, from the picture in our storage to the result in it, with the books in between.

The order of writes is what makes a crash harmless: *sent* is committed before anything leaves this machine,
the answer's headers before its body is read, and the body is on the disk before it is booked. So the next
worker that claims the job reads from the rows how far the call came.

Three of these commits would leave a call or its charge unknown if they failed. Each is a function here with
the question beside it whether its commit went through, and ``commit_with_retry`` takes both.
"""

import time
from collections.abc import Callable
from typing import BinaryIO, TypeVarTuple, cast

import structlog
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import close_old_connections

from jobs import metrics
from jobs.calls import attempts, decisions, evidence, outcomes
from jobs.calls.upstream import Upstream
from jobs.connections import DATABASE_AWAY, give_back
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.storage import disk_space, files, quarantine, spool
from jobs.storage.spool import ResultFile
from pixian.client.client import OK, Answer
from pixian.protocol import errors

log = structlog.get_logger(__name__)

INSIST_SECONDS = 600
INSIST_STEP_SECONDS = 1

Args = TypeVarTuple("Args")


class Listener:
    """Follows a result while it comes; this one does nothing."""

    def on_headers(self, answer: Answer, body: TemporaryUploadedFile) -> None:
        """Learn that a 200's headers are recorded, and that its body is about to be written."""

    def on_progress(self, size: int) -> None:
        """Learn that this many bytes of the body can be read by now."""


NO_LISTENER = Listener()


def execute(job: Job, attempt: Attempt, upstream: Upstream, listener: Listener = NO_LISTENER) -> None:
    """Make one call, which is booked when this returns.

    Raises one of ``decisions.FAILURES`` if there is no result. The source is opened and room is made for
    the result first: what is missing here must not look like a call that was sent.
    """
    with files.open_source(job) as picture, disk_space.preallocate(job, attempt.number) as body:
        commit_with_retry(_send, _is_sent, job, attempt)
        call = upstream.client.remove_background(cast("BinaryIO", picture), job.name, job.options)
        with metrics.timing_call(), call as answer:
            _record(job, attempt, answer)
            if answer.status != OK:
                raise answer.error()
            disk_space.make_room(body, spool.body_length(attempt), files.MAX_RESULT_BYTES)
            listener.on_headers(answer, body)
            files.fill(body, answer.stream(), listener.on_progress)
        store_result(job, attempt, body, upstream)


def _send(_job: Job, attempt: Attempt) -> None:
    with claims.writing():
        attempts.send(attempt)


def _is_sent(job: Job, attempt: Attempt) -> bool:
    # If only the confirmation was lost, no call was made yet; the next worker would have to doubt one.
    with claims.owned(job):  # and so not sent by another worker
        return attempts.is_sent(attempt)


def _record(job: Job, attempt: Attempt, answer: Answer) -> None:
    """Record the headers, however long the database is away: they name the charge."""
    try:
        commit_with_retry(_mark_answered, _is_answered, job, attempt, answer)
    except claims.LostLeaseError:
        # The call was given up, since this worker hadn't renewed its lease. Its charge is kept all the same.
        commit_with_retry(_note_late_answer, _never, job, attempt, answer)
        raise
    except Exception:
        log.error(  # noqa: TRY400 - the caller logs the traceback
            "an answer couldn't be recorded, and its call will be in doubt",
            attempt=str(attempt),
            status=answer.status,
            charged=answer.header(evidence.CHARGE_HEADER),
        )
        raise


def _mark_answered(_job: Job, attempt: Attempt, answer: Answer) -> None:
    with claims.writing():
        attempts.answer(attempt, answer)


def _is_answered(_job: Job, attempt: Attempt, _answer: Answer) -> bool:
    return attempts.is_answered(attempt)


def _note_late_answer(job: Job, attempt: Attempt, answer: Answer) -> None:
    with claims.locked(job):
        attempts.note_late_answer(attempt, answer)


def _never(*_: object) -> bool:
    return False  # a late answer that was noted before is left as it is


def store_result(job: Job, attempt: Attempt, body: ResultFile, upstream: Upstream) -> None:
    """Put the body on the disk, and only then book it; raises NotStoredError if there is no room for it."""
    try:
        files.check_picture(body)
    except errors.Refused:
        upstream.mark_unverified()
        outcomes.handle_invalid_result(job, attempt, body.tell())
        return
    digest, size = files.sha256(body), body.tell()
    body.is_wanted = True
    try:
        name = files.put(files.result_name(job, attempt.number), body)
    except OSError as error:
        raise files.NotStoredError(str(error)) from error
    body.is_wanted = False
    try:
        commit_with_retry(book_result, _is_booked, job, attempt, name, digest, size)
    except claims.LostLeaseError:
        if attempts.has_ended(attempt) and not claims.has_result(job, name):
            quarantine.set_aside(name)  # given up as lost before it was stored; it was paid for
        raise


def book_result(job: Job, attempt: Attempt, name: str, digest: str, size: int) -> None:
    """Book a stored result. If the charge can't be read or can't be right, a person looks at the header."""
    hold = decisions.hold_for(outcomes.charge_of(attempt), test=attempt.test)
    with outcomes.counting_failures(job, attempt), claims.writing():
        claims.finish(job, name=name, sha256=digest, size=size)  # first, since it looks at the fence
        outcomes.resolve_hold(attempt, hold)
    metrics.count_result(job.origin)


def _is_booked(job: Job, *_: object) -> bool:
    return claims.is_done(job)


def commit_with_retry(step: Callable[[*Args], None], is_done: Callable[[*Args], bool], *args: *Args) -> None:
    """Commit a step that must not be left unknown, also while the database restarts.

    is_done: asked after a failure, if the commit had gone through and only its confirmation was lost.
    """
    end = time.monotonic() + INSIST_SECONDS
    has_failed = False
    while True:
        try:
            if not (has_failed and is_done(*args)):
                step(*args)
        except DATABASE_AWAY as error:
            if time.monotonic() > end:
                raise
            log.warning("the database doesn't answer; a call waits for it", error=str(error).strip())
            has_failed = True
            close_old_connections()
            time.sleep(INSIST_STEP_SECONDS)
        else:
            give_back()  # the connection: what comes between two steps may take minutes
            return
