"""Let a real worker run each picture of a folder: ``python -m bench.speed.queued FOLDER THREADS``.

Prints the seconds from the first call to the last booked job. ``bench.speed.pipeline`` runs it with an
instance's settings in its environment.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

import django
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.management import call_command
from django.db.models import Max, Min

django.setup()  # before anything that defines or reads a model is imported

from accounts.models import Team, User  # noqa: E402
from accounts.teams.create import open_team  # noqa: E402
from engine.config import ROOT  # noqa: E402
from jobs.intake.submit import Upload, submit  # noqa: E402
from jobs.models import Attempt, Job  # noqa: E402
from pixian.imaging import decode  # noqa: E402

ENOUGH_MICROCREDITS = 10**12


def main(arguments: Sequence[str]) -> int:
    folder, threads = arguments
    call_command("migrate", verbosity=0)
    team, user = _team()
    known = Job.objects.aggregate(last=Max("pk"))["last"] or 0
    for path in sorted(Path(folder).glob("*.png")):
        _submit(team, user, path)
    command = [sys.executable, "manage.py", "worker", "--threads", threads]
    worker = subprocess.Popen(command, cwd=ROOT, env=os.environ)  # noqa: S603
    try:
        while Job.objects.unfinished().exists():
            time.sleep(0.2)
    finally:
        worker.terminate()
        worker.wait(60)
    sys.stdout.write(f"{_seconds(known)}\n")
    return 0


def _team() -> tuple[Team, User]:
    user = User.objects.filter(email="bench@example.org").first() or User.objects.create_user(
        "bench@example.org"
    )
    team = Team.objects.first() or open_team("Bench", user, ENOUGH_MICROCREDITS)
    return team, user


def _submit(team: Team, user: User, path: Path) -> None:
    content = path.read_bytes()
    with TemporaryUploadedFile(path.name, "image/png", len(content), None) as file:
        file.write(content)
        header = decode.check(cast("BinaryIO", file))
        submit(team, user, Upload(file, header, path.name, uuid4()))


def _seconds(known: int) -> float:
    """Return the time that the new jobs took, once all are done, each booked by its only attempt."""
    made = Attempt.objects.filter(job__pk__gt=known)
    wrong = made.exclude(state=Attempt.State.BOOKED, job__state=Job.State.DONE)
    if wrong.exists():
        raise AssertionError(f"{wrong.count()} calls went wrong: {wrong.first()}")
    times = made.aggregate(first=Min("sent_at"), last=Max("ended_at"))
    return float((times["last"] - times["first"]).total_seconds())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
