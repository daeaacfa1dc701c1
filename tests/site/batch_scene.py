"""Put batches of mixed states into an instance: ``python -m tests.site.batch_scene [COUNT]``.

Nothing is processed: the rows are written as a worker would leave them, some files are shared, and the books
are real. Prints each batch's address. Without a count it reads one after the other from its input.
"""

import io
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from uuid import uuid4

import django

django.setup()  # before anything that defines or reads a model is imported

from django.core.files.base import ContentFile  # noqa: E402
from django.core.files.storage import default_storage  # noqa: E402
from django.utils import timezone  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402

from accounts.ledger import operations as ledger  # noqa: E402
from accounts.models import User  # noqa: E402
from accounts.teams.create import open_team  # noqa: E402
from jobs.batches.create import open_batch  # noqa: E402
from jobs.models import Attempt, Batch, BatchFile, Job  # noqa: E402

PHOTOS = Path(__file__).resolve().parents[2] / "engine/tests/photos"
ESTIMATE, CHARGE = 750_000, 750_000
ENDINGS = {
    "failed": Attempt.State.RELEASED,
    "cancelled": Attempt.State.RELEASED,
    "done": Attempt.State.BOOKED,
}
SHARES = (("done", 0.4), ("queued", 0.3), ("kept", 0.2))
"""The rest of the states have a few each."""


def fill(count: int) -> Batch:
    """Make a batch with this many jobs, which nothing processes.

    It has a team of its own: credits that come back in another batch would start what waits in this one.
    """
    user = User.objects.order_by("pk")[0]
    team = open_team("Scene", user, 4 * count * ESTIMATE)
    batch = open_batch(team, user, uuid4(), "Autumn shoes")
    pictures = cycle(list(_pictures(batch)))
    now = timezone.now()
    for number, state in enumerate(_states(count), 1):
        if state == Job.State.KEPT:  # the last ones; a worker would start what there are credits for
            _spend_the_rest(batch)
        source, result, size = next(pictures)
        job = Job(
            team=team,
            created_by=user,
            request_id=uuid4(),
            batch=batch,
            number=number,
            name=f"SKU-{1000 + number}_front.jpg",
            content_type="image/jpeg",
            source=source,
            source_sha256=f"{number:064}",
            source_bytes=100_000,
            width=size[0],
            height=size[1],
            estimated_microcredits=ESTIMATE,
            state=state,
            run_after=now + timedelta(days=1),
        )
        job.lease_until = now + timedelta(days=1) if state == Job.State.RUNNING else None
        job.reason = Job.Reason.REFUSED if state == Job.State.FAILED else ""
        job.result = result if state == Job.State.DONE else ""
        job.save()
        if state != Job.State.KEPT:
            _attempt(job, now - timedelta(seconds=0.4 * (count - number)))
    for number, name in enumerate(("size chart.pdf", "front.psd"), count + 1):
        BatchFile.objects.create(
            batch=batch, number=number, name=name, problem="unreadable", message="This isn't a picture."
        )
    return batch


def _spend_the_rest(batch: Batch) -> None:
    if rest := ledger.balances(batch.team).available:
        key = f"rest:{batch.pk}"
        ledger.adjust(batch.team, -rest, key=key, actor=batch.created_by, memo="for the test")


def _states(count: int) -> Iterator[str]:
    yield from ["failed", "in_doubt", "cancelled", "running", "running"]
    counts = {state: int(share * count) for state, share in SHARES}
    counts["queued"] += count - 5 - sum(counts.values())
    for state, many in counts.items():
        yield from [state] * many


def _attempt(job: Job, ended: object) -> None:
    hold = ledger.hold(
        job.team, ESTIMATE, key=f"hold:job:{job.pk}:1", reference=f"job:{job.pk}:1", actor=job.created_by
    )
    attempt = Attempt(job=job, number=1, hold=hold, sent_at=timezone.now(), state=Attempt.State.PREPARED)
    if state := ENDINGS.get(job.state):
        attempt.state, attempt.ended_at = state, ended  # type: ignore[assignment]
    if job.state == Job.State.DONE:
        attempt.status, attempt.charged_header, attempt.charged_microcredits = 200, "0.75", CHARGE
        ledger.settle(hold, CHARGE)
    elif job.state in ENDINGS:
        ledger.release(hold)
    elif job.state == Job.State.IN_DOUBT:
        attempt.state, attempt.doubt = Attempt.State.IN_DOUBT, Attempt.Doubt.UNANSWERED
    attempt.save()


def _pictures(batch: Batch) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield stored sources, each with a result and its size."""
    for path in sorted(PHOTOS.glob("*.jpg"))[:6]:
        folder = f"{batch.team.slug}/{uuid4().hex}"
        source = default_storage.save(f"{folder}/source.jpg", ContentFile(path.read_bytes()))
        with Image.open(path) as photo:
            size = photo.size
            mask = Image.new("L", size, 0)
            ImageDraw.Draw(mask).ellipse((size[0] // 5, size[1] // 10, size[0] * 4 // 5, size[1]), fill=255)
            cut_out = photo.convert("RGB")
        cut_out.putalpha(mask)
        file = io.BytesIO()
        cut_out.save(file, "PNG")
        yield source, default_storage.save(f"{folder}/result-1.png", ContentFile(file.getvalue())), size


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.write(fill(int(sys.argv[1])).get_absolute_url())
    else:
        for count in sys.stdin:
            sys.stdout.write(f"{fill(int(count)).get_absolute_url()}\n")
            sys.stdout.flush()
