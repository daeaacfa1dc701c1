"""Files of erased pictures go, wherever the process that deletes them is killed."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils import timezone
from pytest_django import Settings

from conftest import World
from jobs.audit.verify import run as verify
from jobs.models import Job, Rendition
from jobs.renditions.previews import Side, Size, preview
from jobs.retention import purge
from jobs.storage import instance, inventory, strays
from jobs.tests.retention.erased import cut_out, erased, purge_now, stored
from jobs.tests.upstream import Server

pytestmark = pytest.mark.both_databases


@pytest.fixture
def job(world: World, server: Server) -> Job:
    """An erased picture, its files still there: a source, a result, a preview and a rendition."""
    instance.establish()
    job = cut_out(world, server)
    erased(world, job)
    assert len(stored()) == 4
    return job


def test_all_its_files_go_and_its_row_says_so(job: Job, settings: Settings) -> None:
    folder = Path(settings.MEDIA_ROOT) / str(job.source.name)
    spooled = Path(settings.FILE_UPLOAD_TEMP_DIR) / f"result-{folder.parent.name}-1.5.x"
    spooled.write_bytes(b"a body")
    aside = Path(settings.MEDIA_ROOT) / ".quarantine/2026-01-01T00-00-00Z" / f"{job.source.name}.old"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"a picture")
    assert purge_now() == 1
    job.refresh_from_db()
    assert job.purged_at
    assert stored() == []
    assert not folder.parent.exists()
    assert not spooled.exists()
    assert not aside.exists()
    assert not Rendition.objects.exists()
    assert verify().findings == []
    assert purge_now() == 0


def test_nothing_goes_while_a_request_may_still_read_it(job: Job) -> None:
    assert purge.purge() == 0
    assert len(stored()) == 4


def die_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let the process die before its nth deletion of a file."""
    delete, calls = FileSystemStorage.delete, iter(range(100))

    def dying(self: Any, name: str) -> None:
        if next(calls) == at:
            raise SystemExit
        delete(self, name)

    monkeypatch.setattr(FileSystemStorage, "delete", dying)


@pytest.mark.parametrize("at", range(5))
def test_a_kill_between_two_files_is_healed(job: Job, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    with monkeypatch.context() as patch:
        die_at(patch, at)
        with pytest.raises(SystemExit):
            purge_now()
    assert Job.objects.get().purged_at is None
    assert verify().findings == []  # half of an erased picture is no damage
    assert purge_now() == 1
    assert stored() == []
    assert verify().findings == []


def test_a_kill_between_the_files_and_the_mark_is_healed(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_root: Job) -> int:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(purge, "_mark", die)
        with pytest.raises(SystemExit):
            purge_now()
    assert stored() == []
    assert (Job.objects.get().purged_at, Rendition.objects.count()) == (None, 1)
    assert verify().findings == []
    assert purge_now() == 1
    assert verify().findings == []


def test_a_mark_before_the_files_would_lose_them(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the other order, killed in between, leaves files that nothing deletes any more."""

    def die(_root: Job) -> None:
        purge._mark(job)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(purge, "delete_files", die)
        with pytest.raises(SystemExit):
            purge_now()
    assert purge_now() == 0
    assert stored() != []


def test_a_file_that_cannot_be_deleted_keeps_none_of_the_others(
    world: World, job: Job, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = cut_out(world, server)
    erased(world, other)
    delete_files = purge.delete_files

    def refusing(root: Job) -> None:
        if root.pk == job.pk:
            raise PermissionError(root.pk)
        delete_files(root)

    with monkeypatch.context() as patch:
        patch.setattr(purge, "delete_files", refusing)
        assert purge_now() == 1
    assert purge_now() == 1
    assert stored() == []


def test_it_stops_between_two_pictures(job: Job) -> None:
    Job.objects.update(erased_at=timezone.now() - 2 * purge.GRACE)
    assert purge.purge(lambda: True) == 0
    assert len(stored()) == 4


def test_a_preview_that_is_made_too_late_goes_to_quarantine(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    with default_storage.open(str(job.source.name)) as file:
        source = file.read()
    purge_now()
    default_storage.save(str(job.source.name), ContentFile(source))
    late = preview(job, Side.BEFORE, Size.TILE)
    assert late in stored()
    assert inventory.referenced([late]) == set()
    monkeypatch.setattr(strays, "GRACE", timedelta(0))
    assert late in strays.sweep(limited=False).moved
    assert stored() == []


def test_a_name_outside_a_folder_of_its_own_takes_no_other_along(job: Job) -> None:
    """Only the files that its rows name: a folder that isn't one job's may hold anything."""
    shared = default_storage.save("aurora/other.png", ContentFile(b"other"))
    Job.objects.update(source="aurora/source.png")
    purge_now()
    assert shared in stored()
