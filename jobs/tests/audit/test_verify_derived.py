"""Files beside sources and results: originals, background pictures, renditions, and those that jobs share."""

import os
import time
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from conftest import World
from jobs.audit import verify
from jobs.models import Backdrop, Job, Rendition
from jobs.renditions import render, wanted
from jobs.renditions.style import PLAIN
from jobs.storage import instance, inventory, strays
from jobs.storage.interruptible import Stop
from jobs.tests.batches.boxes import add, new_batch
from jobs.tests.upstream import Server

pytestmark = pytest.mark.both_databases

HOURS_AGO = time.time() - 3 * 60 * 60


@pytest.fixture
def job(world: World, server: Server) -> Job:
    """A job with a file of each kind, stored hours ago, and a second job that shows its files."""
    first = add(world, server, new_batch(world), "a.jpg")
    folder = str(first.source.name).rpartition("/")[0]
    original = default_storage.save(f"{folder}/original.heic", ContentFile(b"heic"))
    Job.objects.filter(pk=first.pk).update(original=original)
    render.make(first, PLAIN)
    first.refresh_from_db()
    shared = {name: getattr(first, name) for name in SHARED}
    second = world.job(batch=first.batch_id)
    default_storage.delete(str(second.source.name))
    Job.objects.filter(pk=second.pk).update(**shared, number=2, reused_from=first)
    Backdrop.objects.create(
        team=world.team,
        name="Wood",
        file=default_storage.save("aurora/backdrops/wood.png", ContentFile(b"png")),
        sha256="0" * 64,
        width=1,
        height=1,
        added_by=world.alice,
    )
    instance.establish()
    for name in inventory.stored_names():
        os.utime(default_storage.path(name), (HOURS_AGO, HOURS_AGO))
    return first


SHARED = ("original", "source", "source_sha256", "source_bytes", "content_type", "result", "result_sha256")


def found(nightly: bool = False) -> list[tuple[int, str]]:
    return [(number, text) for number, text in verify.run(nightly=nightly).findings if number in (5, 6)]


def rendition() -> Rendition:
    return Rendition.objects.get()


def content_of(row: Rendition) -> bytes:
    return Path(default_storage.path(str(row.file))).read_bytes()


def break_file(name: str, content: bytes | None) -> None:
    path = Path(default_storage.path(name))
    path.unlink() if content is None else path.write_bytes(content)


def test_every_kind_of_file_is_known(job: Job) -> None:
    assert found() == []
    names = set(inventory.stored_names())
    assert len(names) == 5
    assert inventory.referenced(names) == names
    assert strays.sweep(limited=False).moved == []


@pytest.mark.parametrize("at_once", [1, 300])
def test_names_are_sought_one_way_or_the_other(
    job: Job, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(inventory, "NAMES_PER_QUERY", at_once)
    names = set(inventory.stored_names())
    assert inventory.referenced(names | {"aurora/x/rendition-0.webp", "aurora/backdrops/x.png"}) == names


def test_control_files_that_no_column_is_known_for_would_be_moved_away(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "COLUMNS", {Job: ("source", "result")})
    assert len(strays.sweep(limited=False).moved) == 3  # the original, the rendition, the background


@pytest.mark.parametrize("column", ["original", "source", "result"])
def test_a_lost_file_is_reported_for_each_job_that_shows_it(job: Job, column: str) -> None:
    name = str(getattr(job, column))
    break_file(name, None)
    reused = Job.objects.get(reused_from=job)
    assert found() == [(6, f"Job {pk} has lost its file {name}.") for pk in (job.pk, reused.pk)]


def test_a_lost_background_is_reported(job: Job) -> None:
    backdrop = Backdrop.objects.get()
    break_file(str(backdrop.file), None)
    assert found() == [(6, f"Backdrop {backdrop.pk} has lost its file {backdrop.file}.")]


def test_a_lost_rendition_is_no_loss(job: Job) -> None:
    content = content_of(rendition())
    break_file(str(rendition().file), None)
    assert found() == []
    assert content_of(render.make(job, PLAIN)) == content


@pytest.mark.parametrize("nightly", [False, True])
def test_a_damaged_rendition_is_reported_once_and_made_anew(job: Job, nightly: bool) -> None:
    row = rendition()
    content = content_of(row)
    break_file(str(row.file), b"other")
    sentence = f"The rendition {row.file} of job {job.pk} was damaged. It is made anew at 0 credits."
    assert found(nightly) == [(5, sentence)]
    assert (rendition().state, rendition().file.name) == ("wanted", "")
    assert found(nightly) == []
    assert wanted.make_wanted() == 1
    assert content_of(rendition()) == content
    assert found() == []


def test_a_rendition_that_was_made_anew_meanwhile_is_left_alone(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hash_of_another(_name: str, _stop: Stop) -> str:
        Rendition.objects.update(sha256="1" * 64)
        return "2" * 64

    monkeypatch.setattr("jobs.audit.verify.stored._damage", lambda *_: iter(()))
    monkeypatch.setattr("jobs.audit.verify.stored._hash", hash_of_another)
    assert found() == []
    assert rendition().state == "made"


def test_a_stray_rendition_is_found(job: Job) -> None:
    Rendition.objects.all().delete()
    (stray,) = strays.sweep(limited=False).moved
    assert "rendition-" in stray
