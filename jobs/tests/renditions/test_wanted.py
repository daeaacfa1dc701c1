"""Restyling a batch: applied at 0 credits, made by any worker, once, and whatever is killed meanwhile."""

import errno
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, connections
from django.utils import timezone

from accounts.ledger.operations import balances
from accounts.models import Transfer
from conftest import World
from jobs.models import Batch, Job, Preset, Rendition
from jobs.renditions import apply, render, stored, wanted
from jobs.renditions.apply import Output
from jobs.renditions.style import PLAIN, Style
from jobs.renditions.wanted import make_wanted
from jobs.storage import files
from jobs.storage.files import StorageUnavailableError
from jobs.tests import upstream as wire
from jobs.tests.renditions.test_effects import backdrop, content
from jobs.tests.renditions.test_render import cut, encoded, photo
from jobs.tests.upstream import Server, run
from jobs.worker.background import KINDS
from jobs.worker.pool import WorkerPool
from pixian.client.backoff import Backoff
from pixian.protocol.errors import ServerFailed

WHITE = Style.parse({"format": "jpeg", "crop": True, "margin": "5%", "size": "80 80"})
WEBP = Style.parse({"format": "webp", "shadow": "soft"})
BOTH = [Output("White", WHITE), Output("Web", WEBP)]


def batch_of(world: World, server: Server, done: int = 2, waiting: int = 0) -> Batch:
    """Return a batch with pictures that are done, and some that wait."""
    batch = uuid4()
    for number in range(done):
        add(world, server, batch, number)
    for number in range(waiting):
        world.job(encoded(photo()), batch=str(batch), request_id=str(UUID(int=1000 + number)))
    return Batch.objects.get(pk=batch)


def add(world: World, server: Server, batch: UUID, number: int) -> Job:
    server.script.append(wire.answer(encoded(cut(photo()))))
    world.job(encoded(photo()), batch=str(batch), request_id=str(UUID(int=number + 1)))
    return run(server)[0]


def states() -> list[str]:
    return sorted(Rendition.objects.values_list("state", flat=True))


@pytest.mark.both_databases
def test_a_style_is_applied_to_a_batch_at_0_credits(world: World, server: Server) -> None:
    batch = batch_of(world, server, done=2, waiting=1)
    before = balances(world.team), Transfer.objects.count()
    assert apply.apply(batch, BOTH) == 4
    assert batch.outputs == [
        {"name": "White", "style": {"crop": True, "format": "jpeg", "margin": "5%", "size": "80 80"}},
        {"name": "Web", "style": {"format": "webp", "shadow": "soft"}},
    ]
    assert make_wanted() == 4
    assert states() == ["made"] * 4
    assert not any(row.problem or row.due_at for row in Rendition.objects.all())
    assert (balances(world.team), Transfer.objects.count()) == before


@pytest.mark.both_databases
def test_a_picture_that_finishes_later_gets_its_own(world: World, server: Server) -> None:
    batch = batch_of(world, server, done=1)
    apply.apply(batch, BOTH)
    job = add(world, server, batch.pk, 7)
    apply.follow(job)
    assert job.renditions.count() == 2
    assert make_wanted() == 4


def test_the_pool_lets_a_picture_follow_its_batch(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(committed_world, server, done=1)
    apply.apply(batch, BOTH)
    server.script.append(wire.answer(encoded(cut(photo()))))
    job = committed_world.job(encoded(photo()), batch=str(batch.pk))
    pool = WorkerPool(server.upstream, 1, threading.Event())
    with pool.beating():
        pool.run_once(Backoff(), blocking=False)
    assert job.renditions.count() == 2


def test_a_picture_without_a_batch_or_style_follows_nothing(world: World, server: Server) -> None:
    apply.follow(add(world, server, uuid4(), 1))
    apply.follow(world.job())
    assert not Rendition.objects.exists()


def test_a_preset_that_changes_later_changes_no_batch(world: World, server: Server) -> None:
    batch = batch_of(world, server)
    preset = Preset.objects.create(
        team=world.team, name="White", style=WHITE.canonical(), created_by=world.alice
    )
    apply.apply(batch, [Output.of(preset)])
    preset.style = WEBP.canonical()
    preset.save()
    batch.refresh_from_db()
    assert apply.outputs_of(batch) == [Output("White", WHITE)]


def test_another_style_takes_the_place_of_what_was_not_made_yet(world: World, server: Server) -> None:
    batch = batch_of(world, server)
    apply.apply(batch, [Output("", WHITE)])
    make_wanted()
    apply.apply(batch, [Output("", WEBP)])
    apply.apply(batch, [Output("", PLAIN)])
    assert sorted(Rendition.objects.values_list("style_sha256", "state")) == sorted(
        [(WHITE.sha256, "made")] * 2 + [(PLAIN.sha256, "wanted")] * 2
    )


def test_the_same_style_again_makes_nothing_again(world: World, server: Server) -> None:
    batch = batch_of(world, server)
    apply.apply(batch, BOTH)
    make_wanted()
    assert apply.apply(batch, BOTH) == 0


def test_one_that_failed_is_tried_when_it_is_applied_again(world: World, server: Server) -> None:
    batch = batch_of(world, server, done=1)
    wall = backdrop(world)
    style = Style.parse({"background": "picture", "backdrop": wall.sha256})
    name = str(wall.file)
    with default_storage.open(name) as file:
        picture = file.read()
    default_storage.delete(name)
    apply.apply(batch, [Output("", style), Output("", PLAIN)])
    assert make_wanted() == 2
    failed = Rendition.objects.get(state="failed")
    assert failed.problem == "The background picture was deleted. Choose another one for this style."
    assert states() == ["failed", "made"]

    default_storage.save(name, ContentFile(picture))
    assert apply.apply(batch, [Output("", style), Output("", PLAIN)]) == 1
    make_wanted()
    assert states() == ["made", "made"]


def test_a_damaged_picture_fails_and_the_others_are_made(world: World, server: Server) -> None:
    batch = batch_of(world, server)
    broken = batch.jobs.earliest("pk")
    default_storage.delete(str(broken.result))
    apply.apply(batch, BOTH)
    assert make_wanted() == 4
    assert states() == ["failed", "failed", "made", "made"]
    assert {row.job_id for row in Rendition.objects.filter(state="failed")} == {broken.pk}
    assert "damaged or missing" in Rendition.objects.filter(state="failed")[0].problem


def test_a_style_that_cannot_be_read_any_more_fails(world: World, server: Server) -> None:
    batch = batch_of(world, server, done=1)
    apply.apply(batch, BOTH)
    Rendition.objects.filter(style_sha256=WEBP.sha256).update(style={"colour": 1})
    make_wanted()
    assert states() == ["failed", "made"]


@pytest.mark.parametrize(
    "error",
    [
        ServerFailed(503, -3, "busy"),
        OSError(errno.ENOSPC, "No space left on device"),
        StorageUnavailableError("away"),
    ],
)
def test_what_passes_is_tried_again_later(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    batch = batch_of(world, server, done=1)
    apply.apply(batch, BOTH)
    with monkeypatch.context() as patch:
        patch.setattr(stored, "record", lambda *_: (_ for _ in ()).throw(error))
        assert make_wanted() == 0
    assert states() == ["wanted", "wanted"]
    assert make_wanted() == 0  # not at once
    assert set(Rendition.objects.values_list("takes", flat=True)) == {0}  # however often
    Rendition.objects.update(due_at=timezone.now())
    assert make_wanted() == 2


def test_a_picture_that_can_never_be_read_is_given_up_and_keeps_no_other_from_its_turn(
    world: World, server: Server
) -> None:
    batch = batch_of(world, server)
    path = Path(batch.jobs.earliest("pk").result.path)
    path.unlink()
    path.mkdir()  # which nobody can open as a file
    apply.apply(batch, [Output("", PLAIN)])
    assert make_wanted() == 2
    for _ in range(wanted.MAX_TAKES):
        assert states() == ["made", "wanted"]
        assert make_wanted() == 0  # not at once
        Rendition.objects.update(due_at=timezone.now())
        assert make_wanted() == 1
    assert states() == ["failed", "made"]


@pytest.mark.parametrize(
    ("form", "margin"), [("jpeg", "0 32735px"), ("webp", "0 9000px"), ("png", "0 33000px")]
)
def test_a_style_too_long_for_its_format_fails(world: World, server: Server, form: str, margin: str) -> None:
    batch = batch_of(world, server, done=1)
    apply.apply(batch, [Output("", Style.parse({"format": form, "margin": margin}))])
    make_wanted()
    assert "too large" in Rendition.objects.get(state="failed").problem


def test_an_unexpected_error_does_not_come_back_for_ever(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server)
    apply.apply(batch, [Output("", PLAIN)])
    monkeypatch.setattr(render, "_render", lambda *_: 1 / 0)
    assert make_wanted() == 2
    assert states() == ["failed", "failed"]


def test_a_process_that_is_asked_to_stop_stops_between_two_pictures(world: World, server: Server) -> None:
    batch = batch_of(world, server, done=3)
    apply.apply(batch, BOTH)
    answers = iter([False, True])
    assert make_wanted(lambda: next(answers)) == 2


class KilledError(BaseException):
    """Stands for a process that ends here."""


@pytest.mark.both_databases
@pytest.mark.parametrize("at", ["before the file", "before the row"])
def test_a_rendition_whose_process_was_killed_is_made_after_its_lease(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    batch = batch_of(world, server, done=1)
    apply.apply(batch, [Output("", WHITE)])
    name = stored.file_name(batch.jobs.get(), WHITE)

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(stored, {"before the file": "_store", "before the row": "write"}[at], killed)
        with pytest.raises(KilledError):
            make_wanted()
    assert default_storage.exists(name) == (at == "before the row")
    assert make_wanted() == 0  # its lease holds
    Rendition.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert make_wanted() == 1
    row = Rendition.objects.get()
    assert (row.state, row.file.name, row.bytes) == ("made", name, len(content(row)))


def test_a_rendition_that_kills_each_process_is_given_up(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(world, server, done=1)
    apply.apply(batch, [Output("", WHITE)])

    def killed(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr(render, "_render", killed)
    for _ in range(wanted.MAX_TAKES):
        with pytest.raises(KilledError):
            make_wanted()
        Rendition.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert make_wanted() == 1
    assert states() == ["failed"]


def test_no_torn_file_is_ever_visible(world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies under a rendition's name at any moment is all of it."""
    batch = batch_of(world, server, done=1)
    apply.apply(batch, [Output("", WHITE)])
    name = stored.file_name(batch.jobs.get(), WHITE)
    seen: list[bool] = []
    put = files.put

    def watched(target: str, file: Any) -> str:
        seen.append(default_storage.exists(name))
        return put(target, file)

    monkeypatch.setattr(files, "put", watched)
    make_wanted()
    assert seen == [False]
    with default_storage.open(name) as file:
        assert file.read() == content(Rendition.objects.get())


@pytest.mark.both_databases
def test_two_workers_share_the_work_and_nothing_is_made_twice(committed_world: World, server: Server) -> None:
    batch = batch_of(committed_world, server, done=6)
    apply.apply(batch, [Output("", PLAIN)])
    counts: list[int] = []

    def work() -> None:
        counts.append(make_wanted())
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(counts) == 6
    assert states() == ["made"] * 6


@pytest.mark.both_databases
def test_the_control_without_a_lease_works_twice(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(committed_world, server, done=1)
    apply.apply(batch, [Output("", PLAIN)])
    monkeypatch.setattr(wanted, "LEASE", timedelta(0))
    assert wanted.claim()
    assert wanted.claim()
    assert states() == ["wanted"]


@pytest.mark.both_databases
def test_two_processes_at_one_rendition_make_one_file(committed_world: World, server: Server) -> None:
    batch = batch_of(committed_world, server, done=1)
    job = batch.jobs.get()
    barrier = threading.Barrier(4)
    errors: list[Exception] = []

    def work() -> None:
        barrier.wait()
        try:
            render.make(Job.objects.get(pk=job.pk), WHITE)
        except Exception as error:  # noqa: BLE001 - the test asks for none at all
            errors.append(error)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    row = Rendition.objects.get()
    assert len(content(row)) == row.bytes


def test_a_thread_of_each_worker_process_makes_them() -> None:
    assert KINDS["renditions"] is make_wanted


def test_the_look_for_work_is_one_small_query(
    world: World, server: Server, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        assert make_wanted() == 0
    if connection.vendor == "sqlite":
        sql = "EXPLAIN QUERY PLAN SELECT 1 FROM jobs_rendition WHERE state = ('wanted') AND due_at <= '2026'"
        with connection.cursor() as cursor:
            cursor.execute(sql)
            assert "rendition_wanted" in str(cursor.fetchall())


def test_the_pictures_of_two_batches_take_turns(world: World, server: Server) -> None:
    large = batch_of(world, server, done=3)
    apply.apply(large, [Output("", PLAIN)])
    small = Batch.objects.create(team=world.team, created_by=world.bob, name="small")
    add(world, server, small.pk, 50)
    apply.apply(small, [Output("", PLAIN)])
    order = Rendition.objects.order_by("due_at").values_list("job__batch__name", flat=True)
    assert list(order).index("small") == 1
