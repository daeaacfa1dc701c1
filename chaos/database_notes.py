"""What somebody was told is done, noted outside of the database: the witness that it can't take along."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage

from jobs.calls import execute
from jobs.models import Attempt, Job
from jobs.worker import run

LOOK_EVERY_SECONDS = 0.005
ENDS = (Attempt.State.BOOKED, Attempt.State.IN_DOUBT)


class Notes:
    """Lines of JSON in a file, each synced before anything else happens; for many processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, **facts: Any) -> None:
        line = json.dumps(facts).encode() + b"\n"
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> list[dict[str, Any]]:
        """All but a last line that a kill has torn."""
        whole, _, _ = self._path.read_bytes().rpartition(b"\n") if self._path.exists() else (b"", b"", b"")
        return [json.loads(line) for line in whole.splitlines()]

    def wait(self, seconds: float = 30) -> None:
        """Until another line is there; raises TimeoutError."""
        size, end = self._size(), time.monotonic() + seconds
        while self._size() == size:
            if time.monotonic() > end:
                raise TimeoutError(f"nothing was noted in {seconds} s")
            time.sleep(LOOK_EVERY_SECONDS)

    def _size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0


def note_bookings(notes: Notes) -> None:
    """In this process, from here on: a worker notes a result when its booking is committed."""
    finish = execute.book_result

    def finished(job: Job, attempt: Attempt, *facts: Any) -> None:
        finish(job, attempt, *facts)
        notes.note(job=job.pk, attempt=attempt.pk, charged=attempt.charged_microcredits)

    execute.book_result = run.finish = finished  # type: ignore[assignment,attr-defined]


def lost_uploads(uploads: Notes) -> Iterator[str]:
    """Acknowledged, and not as they were any more."""
    jobs = Job.objects.in_bulk([said["job"] for said in uploads.read()])
    for said in uploads.read():
        job = jobs.get(said["job"])
        if job is None or str(job.request_id) != said["request"]:
            yield f"job {said['job']} was acknowledged and is gone"
        elif not default_storage.exists(str(job.source.name)):
            yield f"job {job.pk} was acknowledged, and its file is gone"


def lost_bookings(bookings: Notes) -> Iterator[str]:
    """Committed, and not as they were any more."""
    attempts = Attempt.objects.select_related("job").in_bulk([said["attempt"] for said in bookings.read()])
    for said in bookings.read():
        row = attempts.get(said["attempt"])
        if row is None or row.state not in ENDS or row.job.state != Job.State.DONE:
            yield f"attempt {said['attempt']} of job {said['job']} was booked, and is {row} now"
        elif row.charged_microcredits != said["charged"]:
            yield f"{row} was booked with {said['charged']}, and has {row.charged_microcredits} now"
