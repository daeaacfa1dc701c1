"""E32, a worker of an older release beside a new web process.

The database has all of today's migrations, today's web process takes uploads, and only a worker of an older
commit, taken from the repository's history, is there to process them: so it is while an instance is upgraded.
All of them must be done and booked, and ``verify`` must find nothing.

The control plants what the rules for migrations forbid: a column that every INSERT must name.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from django.db import connection

from chaos.experiments import Outcome
from chaos.process import Process
from chaos.system import REMOVE, ROOT, System
from jobs.models import Attempt, Job

FIRST_HAS = "jobs/migrations/0018_result_ranges.py"
"""The older release is the commit that added this file: the first whose worker may run beside later ones.

Those before it can't write a transfer's balance, and are stopped before an upgrade (``CHANGELOG.md``).
"""

CONTROL_SECONDS = 10
ENDS_WITHIN_SECONDS = 60


def run(system: System, options: argparse.Namespace) -> Outcome:
    commit = older()
    if not commit:
        return Outcome([], {}, {"LEFT OUT": "the older release isn't in this clone's history"})
    system.prepare()
    with tempfile.TemporaryDirectory() as folder, system.serving():
        unpack(commit, Path(folder))
        with old_worker(system, Path(folder)):
            found = list(take_uploads(system, options.uploads))
            system.settle()
        booked = Attempt.objects.filter(state=Attempt.State.BOOKED).count()
        found += system.failures()
        if undone := undone_jobs():
            found.append(f"{undone} jobs aren't done")
        system.submit()
        plant_required_column()
        with old_worker(system, Path(folder)), suppress(TimeoutError):
            system.settle(CONTROL_SECONDS)
        # It may still wait, or be in doubt after three attempts at its booking.
        noticed = undone_jobs() - undone
    facts = {"commit": commit[:12], "jobs": Job.objects.count(), "booked": booked}
    return Outcome(found, {"control": noticed}, facts)


def undone_jobs() -> int:
    return Job.objects.exclude(state=Job.State.DONE).count()


def take_uploads(system: System, count: int) -> Iterator[str]:
    """Send a picture as a program and two as a person without scripts, again and again; yield refusals."""
    key = system.key()
    address = f"/t/{system.teams[0].slug}/upload/"
    for _ in range(count):
        with system.client(key) as http:
            yield from refused(http.post(REMOVE, files={"image": ("photo.png", system.picture())}))
        pictures = [("image", (f"{n}.png", system.picture(), "image/png")) for n in range(2)]
        with system.browser() as http:
            yield from refused(http.post(address, files=pictures))


def refused(answer: httpx.Response) -> list[str]:
    if answer.is_success or answer.is_redirect:
        return []
    return [f"{answer.url.path} is answered {answer.status_code}: {answer.text[-200:]}"]


@contextmanager
def old_worker(system: System, folder: Path) -> Iterator[Process]:
    """Run the worker of the release in this folder, and end it."""
    worker = system.program("env", "-C", str(folder), sys.executable, "manage.py", "worker", "--threads", "2")
    try:
        yield worker
    finally:
        worker.end(ENDS_WITHIN_SECONDS)


def plant_required_column() -> None:
    """Let each INSERT of a transfer name a column that the older release doesn't know."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE accounts_transfer ADD COLUMN planted integer NOT NULL DEFAULT 0")
            cursor.execute("ALTER TABLE accounts_transfer ALTER COLUMN planted DROP DEFAULT")
        else:  # which can't drop a default
            cursor.execute(
                "CREATE TRIGGER planted BEFORE INSERT ON accounts_transfer WHEN NEW.kind = 'settle' "
                "BEGIN SELECT RAISE(ABORT, 'NOT NULL constraint failed: accounts_transfer.planted'); END"
            )


def older() -> str:
    """Return the older release's commit, or "" if there is no history, or none that reaches there."""
    command = ["git", "-C", str(ROOT), "log", "--diff-filter=A", "--format=%H", "--", FIRST_HAS]
    with suppress(FileNotFoundError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        return (done.stdout.split() or [""])[-1]
    return ""


def unpack(commit: str, folder: Path) -> None:
    """Write all files of a commit into a folder."""
    command = ["git", "-C", str(ROOT), "archive", commit]
    archive = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)  # noqa: S603, S607
