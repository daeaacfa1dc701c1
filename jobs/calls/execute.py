"""The call itself, from the picture in our storage to the result in it, and the books in between.

The order of writes is what makes a crash harmless: *sent* is committed before anything leaves the house,
the answer's headers before its body is read, and the body is on the disk before it is booked. So whoever
has the job next reads from the rows how far it came.
"""

import time
from collections.abc import Callable
from typing import BinaryIO, cast

import structlog
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import InterfaceError, OperationalError, close_old_connections

from jobs.calls import attempts, outcomes
from jobs.calls.upstream import Upstream
from jobs.connections import give_back
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.storage import disk_space, files, quarantine, spool
from jobs.storage.spool import ResultFile
from pixian.client.client import OK, Answer
from pixian.protocol import errors

log = structlog.get_logger(__name__)

INSIST_SECONDS = 600
INSIST_STEP_SECONDS = 1


class Listener:
    """Whoever wants the result while it comes; by default nobody does."""

    def on_headers(self, answer: Answer, body: TemporaryUploadedFile) -> None:
        """A 200's headers are recorded, and its body is about to be written."""

    def on_progress(self, size: int) -> None:
        """So many bytes of the body can be read by now."""


NOBODY = Listener()


def execute(job: Job, attempt: Attempt, upstream: Upstream, listener: Listener = NOBODY) -> None:
    """One call, booked once it returns. Raises what says why there is no result: ApiErrors, Unreachable,
    Unanswered, BodyLost, SourceLostError, NoRoomError and NotStoredError.

    The source is opened and room is made for the result first: what is missing here must not look like a
    sent call.
    """
    with files.open_source(job) as picture, disk_space.preallocate(job, attempt.number) as body:
        _send(job, attempt)
        call = upstream.client.remove_background(cast("BinaryIO", picture), job.name, job.options)
        with call as answer:
            _record(job, attempt, answer)
            if answer.status != OK:
                raise answer.error()
            disk_space.make_room(body, spool.body_length(attempt), files.MAX_RESULT_BYTES)
            listener.on_headers(answer, body)
            files.fill(body, answer.stream(), listener.on_progress)
            store_result(job, attempt, body, upstream)


def _send(job: Job, attempt: Attempt) -> None:
    """*Sent* to the database, before anything leaves the house. Where only the confirmation was lost, no call
    was made yet, and the next worker would have to doubt one."""

    def send() -> None:
        with claims.owned(job):
            attempts.send(attempt)

    def is_sent() -> bool:
        with claims.owned(job):  # and so not by another worker
            return attempts.is_sent(attempt)

    commit_with_retry(send, is_sent)


def _record(job: Job, attempt: Attempt, answer: Answer) -> None:
    """The headers to the database, however long it is away: they name the charge."""

    def record() -> None:
        with claims.owned(job):
            attempts.answer(attempt, answer)

    try:
        commit_with_retry(record, lambda: attempts.is_answered(attempt))
    except claims.LostLeaseError:
        _keep_late(job, attempt, answer)
        raise
    except Exception:
        log.error(  # noqa: TRY400 - whoever catches it prints the traceback
            "an answer couldn't be recorded, and its call will be in doubt",
            attempt=str(attempt),
            status=answer.status,
            charged=answer.header(attempts.CHARGE_HEADER),
        )
        raise


def _keep_late(job: Job, attempt: Attempt, answer: Answer) -> None:
    """Others have given the call up, since this worker wasn't heard of for a lease. What the answer's head
    says of the charge is kept all the same."""

    def note() -> None:
        with claims.locked(job):
            attempts.note_late_answer(attempt, answer)

    commit_with_retry(note, lambda: False)  # it changes nothing the second time


def store_result(job: Job, attempt: Attempt, body: ResultFile, upstream: Upstream) -> None:
    """The body to the disk, and only then to the books. Raises NotStoredError if there is no room for it."""
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
        commit_with_retry(lambda: book_result(job, attempt, name, digest, size), lambda: claims.is_done(job))
    except claims.LostLeaseError:
        if attempts.has_ended(attempt) and not claims.has_result(job, name):
            quarantine.set_aside(name)  # given up as lost before it was stored; it was paid for
        raise


def book_result(job: Job, attempt: Attempt, name: str, digest: str, size: int) -> None:
    """Book a stored result. If the charge can't be read or can't be right, a person looks at the header."""
    with outcomes.booking(job, attempt):
        if attempt.charged_microcredits is None and attempt.test and not outcomes.was_charged(attempt):
            attempts.release(attempt)
        elif attempt.charged_microcredits is None:
            attempts.mark_in_doubt(attempt)
        else:
            attempts.book(attempt)
        claims.finish(job, name=name, sha256=digest, size=size)


def commit_with_retry(step: Callable[[], None], done: Callable[[], bool]) -> None:
    """Commit what would otherwise leave a call or its charge unknown, also while the database restarts.

    done: tells after a failure whether the commit had gone through and only its confirmation was lost.
    """
    end = time.monotonic() + INSIST_SECONDS
    failed = False
    while True:
        try:
            if not (failed and done()):
                step()
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > end:
                raise
            log.warning("the database doesn't answer; a call waits for it", error=str(error).strip())
            failed = True
            close_old_connections()
            time.sleep(INSIST_STEP_SECONDS)
        else:
            give_back()  # the connection: what comes between two steps may take minutes
            return
