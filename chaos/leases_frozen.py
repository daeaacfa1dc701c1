"""What is done to a worker of E5 before it begins to work: where it freezes, and which guard it lacks."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from chaos.child import Child
from jobs.calls import attempts, execute
from jobs.models import Attempt, Job
from jobs.models.job import JobQuerySet
from jobs.queue import claims
from jobs.queue.heartbeat import Heartbeat
from jobs.storage import files
from jobs.worker import periodic
from pixian.client.client import Client

DURING_SECONDS = 0.5
LONG_SECONDS = 1.5
"""Of the call amid which somebody freezes."""

_beating = threading.Lock()


@dataclass(frozen=True)
class Point:
    """Around a function: ``when`` is *before*, *during* or *after*. What must have become of the job when
    another worker has taken it over, and the frozen one has thawed: its state, and whether that one
    finds its lease lost."""

    owner: Any
    name: str
    when: str
    state: Job.State
    lost: bool = True


POINTS = {
    "before it is sent": Point(execute, "_send", "before", Job.State.DONE),
    "sent, and no byte has left": Point(execute, "_send", "after", Job.State.IN_DOUBT),
    "during the call": Point(Client, "_send", "during", Job.State.IN_DOUBT),
    "answered, and that isn't recorded": Point(execute, "_record", "before", Job.State.IN_DOUBT),
    "recorded, and the body is on its way": Point(execute, "_record", "after", Job.State.FAILED),
    "received, and not stored": Point(execute, "keep", "before", Job.State.DONE),
    "stored, and not booked": Point(files, "put", "after", Job.State.DONE),
    "booked": Point(execute, "finish", "after", Job.State.DONE, lost=False),
}


def freeze_at(point: Point, job: int, plant: Callable[[], None] | None = None) -> None:
    """This worker sees one job only, and stands still at the point; ``plant`` takes its guards away."""
    if plant:
        plant()
    see_only(job)
    beat_apart()
    done = getattr(point.owner, point.name)

    def watched(*args: Any, **options: Any) -> Any:
        if point.when == "before":
            freeze()
        if point.when == "during" and args[1].method == "POST":
            threading.Timer(DURING_SECONDS, freeze).start()
        result = done(*args, **options)
        if point.when == "after":
            freeze()
        return result

    setattr(point.owner, point.name, watched)


def see_only(job: int) -> None:
    claimable = JobQuerySet.claimable

    def mine(jobs: JobQuerySet, now: datetime) -> JobQuerySet:
        return claimable(jobs, now).filter(pk=job)

    JobQuerySet.claimable = mine  # type: ignore[assignment,method-assign]


def freeze() -> None:
    """The whole process, with all of its threads; but none of them amid a write, since on SQLite everybody
    else would stand still too."""
    with _beating:
        # To this very thread: it would run on for a while if another one were given the signal.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def beat_apart() -> None:
    """In this process the heartbeat leaves room to freeze, and no other thread writes beside it."""
    renew = Heartbeat._renew
    periodic.run_due = lambda *_: None

    def renewed(self: Heartbeat) -> bool:
        with _beating:
            return renew(self)

    Heartbeat._renew = renewed  # type: ignore[method-assign]


def is_frozen(child: Child) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def without_heartbeat() -> None:
    """A control."""
    claims.heartbeat = lambda *_: True


def without_guards() -> None:
    """A control: neither the fence nor any state is looked at."""
    claims.owned, claims._release = _anyhow, _leave  # type: ignore[assignment]
    attempts._move = _move  # type: ignore[assignment]


@contextmanager
def _anyhow(_job: Job) -> Iterator[None]:
    with transaction.atomic():
        yield


def _leave(job: Job, state: Job.State, reason: Job.Reason | None, **changes: Any) -> None:
    changes |= {"state": state, "reason": reason or "", "lease_until": None}
    Job.objects.filter(pk=job.pk).update(**changes)


def _move(attempt: Attempt, _expected: str, state: str, **changes: Any) -> None:
    changes |= {"state": state}
    Attempt.objects.filter(pk=attempt.pk).update(**changes)
    for name, value in changes.items():
        setattr(attempt, name, value)
