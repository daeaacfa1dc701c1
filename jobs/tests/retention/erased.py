"""Pictures that have ended, and what is left of them in the storage."""

from hashlib import sha256
from typing import Any
from uuid import uuid4

from django.utils import timezone

from conftest import World, small_png
from jobs.batches import reuse
from jobs.batches.create import open_batch
from jobs.models import Batch, BatchFile, Job
from jobs.renditions.previews import Side, Size, preview
from jobs.renditions.render import make
from jobs.renditions.style import PLAIN
from jobs.retention import erase, purge
from jobs.storage import inventory
from jobs.tests.upstream import Server, run

PICTURE = small_png()  # costs what the upstream of the tests charges
SHA256 = sha256(PICTURE).hexdigest()


def cut_out(world: World, server: Server, **ids: Any) -> Job:
    """Return a finished picture with a preview and a rendition."""
    batch = open_batch(world.team, world.alice, uuid4())
    listed = batch.files.create(number=1, name="secret.png", folder="clients", sha256=SHA256)
    world.job(PICTURE, name="secret.png", batch=batch.pk, request_id=listed.request_id, number=1, **ids)
    job = run(server)[0]
    preview(job, Side.BEFORE, Size.TILE)
    make(job, PLAIN)
    return job


def listed_again(world: World) -> tuple[Batch, BatchFile]:
    """List the picture in another batch, without uploading it."""
    batch = open_batch(world.team, world.bob, uuid4())
    return batch, batch.files.create(number=1, name="again.png", sha256=SHA256)


def reused(world: World) -> Job:
    batch, file = listed_again(world)
    reuse.use_again(batch, world.bob, [file.request_id])
    return Job.objects.get(request_id=file.request_id)


def erased(world: World, *jobs: Job) -> int:
    return erase.erase(world.team, [job.pk for job in jobs], subject="job:1", actor=world.alice)


def purge_now() -> int:
    """Purge as if the grace were over."""
    Job.objects.exclude(erased_at=None).update(erased_at=timezone.now() - 2 * purge.GRACE)
    return purge.purge()


def stored() -> list[str]:
    return sorted(inventory.stored_names())
