"""What is done to a worker of E1 before it begins to work."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.core.files.uploadedfile import TemporaryUploadedFile

from chaos.crash_points import Points
from jobs.calls import execute
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, Job
from jobs.models.job import JobQuerySet
from jobs.queue import claims
from jobs.queue.heartbeat import Heartbeat
from jobs.storage import files
from jobs.worker import periodic


@dataclass(frozen=True)
class Doom:
    """What becomes of a worker.

    point: where it sends itself the signal of this number, None nowhere. plant: a bug to begin with. trace: a
    file for the names of the points.
    """

    point: int | None = None
    number: signal.Signals = signal.SIGKILL
    plant: Callable[[], None] | None = None
    trace: Path | None = None


def alone_with(job: int, doom: Doom) -> None:
    """The worker sees this job only, ends when it has ended, and meets its doom on the way. Its other threads
    do nothing: frozen in the midst of a writing they would keep everybody else from SQLite."""
    if doom.plant:
        doom.plant()
    claimable, due = JobQuerySet.claimable, claims.any_claimable

    def mine(jobs: JobQuerySet, now: datetime) -> JobQuerySet:
        return claimable(jobs, now).filter(pk=job)

    def due_or_over() -> bool:
        if not Job.objects.unfinished().filter(pk=job).exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return due()

    JobQuerySet.claimable = mine  # type: ignore[assignment,method-assign]
    claims.any_claimable = due_or_over
    Heartbeat._renew = periodic.run_due = nothing  # type: ignore[assignment,method-assign]
    Points(doom.point, doom.number, doom.trace).watch()


def nothing(*_: object) -> None:
    """Instead of what isn't to be done."""


def book_first() -> None:
    """The control: the result is stored only after it was booked."""
    execute.store_result = _book_and_keep


def _book_and_keep(job: Job, attempt: Attempt, body: TemporaryUploadedFile, upstream: Upstream) -> None:  # noqa: ARG001
    files.check_picture(body)
    name = files.result_name(job, attempt.number)
    execute.book_result(job, attempt, name, files.sha256(body), body.tell())
    files.put(name, body)
