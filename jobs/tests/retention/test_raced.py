"""A picture that is erased and reused at the same moment is either, and its files are there or not."""

import pytest
from django.db import connection

from accounts.tests.ledger.test_allowances_raced import behind
from conftest import World
from jobs.audit.verify import run as verify
from jobs.batches import reuse
from jobs.models import Job
from jobs.storage import instance
from jobs.tests.batches.test_control_raced import beside
from jobs.tests.retention.erased import cut_out, erased, listed_again, purge_now, stored
from jobs.tests.upstream import Server

pytestmark = pytest.mark.both_databases


@pytest.fixture
def job(committed_world: World, server: Server) -> Job:
    instance.establish()
    return cut_out(committed_world, server)


def use_again(world: World) -> list[object]:
    batch, file = listed_again(world)
    return list(reuse.use_again(batch, world.bob, [file.request_id]))


def test_a_reuse_behind_an_erasing_is_none(committed_world: World, job: Job) -> None:
    used: list[object] = []
    batch, file = listed_again(committed_world)
    behind(
        lambda: erased(committed_world, job),
        lambda: used.extend(reuse.use_again(batch, committed_world.bob, [file.request_id])),
    )
    assert used == []
    assert Job.objects.count() == 1
    assert purge_now() == 1
    assert verify().findings == []


def test_an_erasing_behind_a_reuse_leaves_it_its_files(committed_world: World, job: Job) -> None:
    batch, file = listed_again(committed_world)
    behind(
        lambda: reuse.use_again(batch, committed_world.bob, [file.request_id]),
        lambda: erased(committed_world, job),
    )
    assert list(Job.objects.filter(erased_at=None)) == [Job.objects.get(reused_from=job)]
    assert purge_now() == 0
    assert len(stored()) == 4
    assert verify().findings == []


def test_a_reuse_that_does_not_look_again_shows_files_that_are_gone(
    committed_world: World, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: it takes what it found before it had the lock."""
    found = reuse.earlier(committed_world.team, [job.source_sha256])
    monkeypatch.setattr(reuse, "earlier", lambda _team, _sha256s: found)
    monkeypatch.setattr(reuse, "_still_there", lambda jobs: {job.pk for job in jobs})
    erased(committed_world, job)
    purge_now()
    assert len(use_again(committed_world)) == 1
    assert verify().findings != []


def test_a_reuse_without_the_lock_sees_a_picture_that_is_being_erased(
    committed_world: World, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the lock itself, which SQLite needs none of: it lets in one writer at a time."""
    if connection.vendor == "sqlite":
        pytest.skip("one writer at a time")
    monkeypatch.setattr(
        reuse,
        "_still_there",
        lambda jobs: set(
            Job.objects.filter(pk__in=[job.pk for job in jobs], erased_at=None).values_list("pk", flat=True)
        ),
    )
    batch, file = listed_again(committed_world)
    beside(
        lambda: erased(committed_world, job),
        lambda: reuse.use_again(batch, committed_world.bob, [file.request_id]),
    )
    assert Job.objects.exclude(erased_at=None).count() == 1
    assert Job.objects.filter(reused_from=job, erased_at=None).count() == 1
