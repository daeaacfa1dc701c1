"""Pictures in a bucket, from their upload to their ZIP; nothing is lost or paid twice while it is away."""

import io
import signal
import threading
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances, LedgerError
from accounts.teams.create import open_team
from chaos.process import fork
from chaos.waiting import wait_for
from conftest import World, small_png, upload
from jobs.audit import verify
from jobs.calls import attempts
from jobs.models import Backdrop, Job, WorkerHeartbeat
from jobs.queue import workers
from jobs.queue.heartbeat import process_name
from jobs.renditions import backdrops
from jobs.retention import due, team_export, teams
from jobs.storage import files, instance, quarantine, spool, strays
from jobs.storage.s3 import S3Storage
from jobs.tests import browser
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.batches.boxes import batch_of
from jobs.tests.retention.erased import PICTURE, cut_out, erased, purge_now
from jobs.tests.storage import buckets
from jobs.tests.storage.disks import spooled
from jobs.tests.upstream import CUT_OUT, Server, after, run
from jobs.worker.pool import WorkerPool
from pixian.client.backoff import Backoff
from pixian_web import health
from tests.site.s3 import Swift

PAID_ONCE = Balances(available=99 * CREDIT, spent=CREDIT)
Reason = Job.Reason


@pytest.fixture(scope="module")
def shared() -> Iterator[Swift]:
    with buckets.serving() as server:
        yield server


@pytest.fixture
def swift(shared: Swift) -> Iterator[Swift]:
    """The server, which a test may stop."""
    yield shared
    if shared.has_ended:
        shared.start()


@pytest.fixture(autouse=True)
def bucket(settings: Settings, swift: Swift) -> S3Storage:
    return buckets.use_new_bucket(settings, swift)


@pytest.fixture
def alice(world: World, client: Client) -> Client:
    world.alice.is_staff = True
    world.alice.save()
    client.force_login(world.alice)
    return client


def names(bucket: S3Storage) -> list[str]:
    return sorted(row.name.rpartition("/")[2] for row in bucket.objects())


def local_files(settings: Settings) -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def storage_line() -> health.Check:
    return next(check for check in health.checks() if check.name == "Files")


def break_secret(settings: Settings, swift: Swift, bucket: S3Storage) -> None:
    buckets.use(settings, buckets.options_of(swift, bucket.bucket_name) | {"secret_key": "guessed"})


# As it should be ------------------------------------------------------------------------------------


def test_a_batch_lives_in_the_bucket_from_its_upload_to_its_zip(
    world: World, server: Server, alice: Client, bucket: S3Storage, settings: Settings
) -> None:
    batch = batch_of(world, server, ["a.jpg", "b.jpg"])
    instance.establish()
    assert names(bucket) == [".instance", *["result-1.png"] * 2, *["source.png"] * 2]
    for _ in ("made on the way", "with a size"):
        answer: Any = alice.get(reverse("batch_zip", args=[world.team.slug, batch.pk]))
        content = b"".join(answer)
    assert answer.headers["Content-Length"] == str(len(content))
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["a.png", "b.png", "manifest.csv"]
    part: Any = alice.get(answer.wsgi_request.path, headers={"Range": "bytes=100-199"})
    assert b"".join(part) == content[100:200]
    assert verify.run().findings == []
    assert strays.sweep().left == []
    assert local_files(settings) == []


def test_a_team_takes_its_pictures_away_and_erased_ones_leave_the_bucket(
    world: World, server: Server, bucket: S3Storage
) -> None:
    instance.establish()
    job = cut_out(world, server)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(team_export.stream(world.team))))
    assert archive.read(f"pictures/{job.pk}/source.png") == PICTURE
    assert archive.read(f"pictures/{job.pk}/result.png") == CUT_OUT
    assert len(names(bucket)) == 5  # with a preview and a rendition
    stray = f"{str(job.source.name).rpartition('/')[0]}/result-9.png"
    bucket.save(stray, ContentFile(b"late"))
    quarantine.set_aside(stray)
    erased(world, job)
    assert purge_now() == 1
    assert names(bucket) == [".instance"]
    assert verify.run().findings == []


def test_what_was_erased_goes_once_the_bucket_answers_again(
    world: World, server: Server, bucket: S3Storage, settings: Settings, swift: Swift
) -> None:
    erased(world, cut_out(world, server))
    break_secret(settings, swift, bucket)
    assert purge_now() == 0
    buckets.use(settings, buckets.options_of(swift, bucket.bucket_name))
    assert len(names(bucket)) == 4
    assert purge_now() == 1
    assert names(bucket) == []


def test_a_browser_saves_a_result_by_a_short_link(
    world: World, server: Server, alice: Client, bucket: S3Storage, settings: Settings, swift: Swift
) -> None:
    world.job()
    job, _ = run(server)
    answer = alice.get(reverse("download", args=[world.team.slug, job.pk]))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (302, "private, no-store")
    link = answer.headers["Location"]
    whole, part = fetch(link), fetch(link, Range="bytes=1-3")
    assert (whole.content[:4], whole.headers["Content-Type"]) == (b"\x89PNG", "image/png")
    assert whole.headers["Content-Disposition"] == 'attachment; filename="photo-cutout.png"'
    assert (part.status_code, part.content) == (206, b"PNG")
    assert fetch(link.partition("?")[0]).is_error  # the bucket is private
    assert fetch(link.replace(".png?", ".jpg?")).status_code == 403
    brief = str(bucket.url(str(job.result), expire=1))
    wait_for(lambda: fetch(brief).status_code == 403, 10, "its end")
    settings.S3_LINK_SECONDS = 0
    direct: Any = alice.get(reverse("download", args=[world.team.slug, job.pk]))
    assert b"".join(direct) == whole.content


def test_a_download_whose_file_is_missing_is_a_404(world: World, server: Server, alice: Client) -> None:
    world.job()
    job, _ = run(server)
    default_storage.delete(str(job.result))
    assert alice.get(reverse("download", args=[world.team.slug, job.pk])).status_code == 404


def test_pages_and_programs_get_the_bytes_from_the_site(
    committed_world: World, server: Server, client: Client, program: Program
) -> None:
    client.force_login(committed_world.alice)
    answer = program.call()
    assert (answer.status_code, answer.content) == (200, wire.CUT_OUT)
    job = Job.objects.get()
    result = program.http.get(f"/api/jobs/{job.pk}/result")
    assert (result.status_code, result.content) == (200, wire.CUT_OUT)
    small: Any = client.get(reverse("shown", args=["aurora", job.pk, "after", "tile"]))
    assert (small.status_code, small.headers["Content-Type"]) == (200, "image/webp")
    assert b"".join(small).startswith(b"RIFF")


def test_a_picture_without_credits_leaves_nothing_in_the_bucket(
    world: World, bucket: S3Storage, settings: Settings
) -> None:
    settings.HOLD_MICROCREDITS_PER_MEGAPIXEL = 1000 * CREDIT
    with pytest.raises(LedgerError):
        world.job()
    assert names(bucket) == []


def test_a_background_picture_that_comes_twice_at_once_is_kept(
    world: World, bucket: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (first := upload(small_png(30, 20))).file:
        kept = backdrops.store(world.team, world.alice, first.file, first.header, "wall")
    blind = Backdrop.objects.none()
    with monkeypatch.context() as patch, (second := upload(small_png(30, 20))).file:
        patch.setattr(Backdrop.objects, "filter", lambda **_: blind)
        assert backdrops.store(world.team, world.alice, second.file, second.header, "wall") == kept
    assert bucket.exists(str(kept.file))
    backdrops.delete(kept)
    assert names(bucket) == []


@pytest.mark.parametrize("is_old", [False, True])
def test_a_deleted_teams_background_is_not_that_of_the_next_one_of_its_name(
    world: World, bucket: S3Storage, is_old: bool
) -> None:
    """is_old: both rows name one file, as an earlier release named it."""
    slug, kept = world.team.slug, []
    for team in (world.team, None):
        named = team or open_team("Aurora", world.charlie, slug=slug)
        with (picture := upload(small_png(30, 20))).file:
            kept.append(backdrops.store(named, world.alice, picture.file, picture.header, "wall"))
        if team:
            teams.delete_team(team, world.alice)
    if is_old:
        bucket.delete(str(kept[0].file))
        Backdrop.objects.update(file=str(kept[1].file))
    due.erase_due()
    assert list(Backdrop.objects.all()) == kept[1:]
    assert bucket.exists(str(kept[1].file))
    backdrops.delete(kept[1])
    assert names(bucket) == []


def test_a_file_without_a_row_goes_to_quarantine_and_back(
    world: World, bucket: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.establish()
    monkeypatch.setattr(strays, "GRACE", timedelta(minutes=-1))  # a bucket counts in seconds
    stray = "aurora/x/result-1.png"
    bucket.save(stray, ContentFile(b"paid"))
    report = strays.sweep()
    assert (report.moved, report.left, bucket.exists(stray)) == ([stray], [], False)
    (file,) = quarantine.contents()
    assert (file.name, file.size, file.at is None) == (stray, 4, False)
    assert "1 file that no job refers to is in quarantine" in storage_line().says

    bucket.save(stray, ContentFile(b"another"))
    assert quarantine.put_back() == ([], [stray])
    bucket.delete(stray)
    assert quarantine.put_back() == ([stray], [])
    with bucket.open(stray) as back:
        assert back.read() == b"paid"
    assert list(quarantine.contents()) == []


def test_a_move_that_was_cut_off_goes_on(bucket: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.save("a.png", ContentFile(b"paid"))
    with monkeypatch.context() as patch:
        patch.setattr(S3Storage, "delete", die)
        with pytest.raises(SystemExit):
            bucket.move("a.png", "b.png")
    bucket.move("a.png", "b.png")
    assert names(bucket) == ["b.png"]


# While it is away -----------------------------------------------------------------------------------


def test_a_job_waits_for_a_bucket_that_refuses_us_and_is_paid_once(
    world: World, server: Server, bucket: S3Storage, settings: Settings, swift: Swift
) -> None:
    instance.establish()
    world.job()
    break_secret(settings, swift, bucket)
    job, wait = run(server)
    assert (job.state, job.reason, wait, server.calls) == ("queued", Reason.STORAGE, 60, 0)
    line = storage_line()
    assert not line.fine
    assert "SignatureDoesNotMatch" in line.says
    buckets.use(settings, buckets.options_of(swift, bucket.bucket_name))
    assert storage_line().fine
    assert (run(server)[0].state, server.calls) == ("done", 1)
    assert ledger.balances(world.team) == PAID_ONCE


def test_a_paid_result_waits_for_a_server_that_is_gone(
    committed_world: World,
    server: Server,
    swift: Swift,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = committed_world
    world.job()
    server.script.append(after(swift.kill))
    job, _ = run(server)
    assert (job.state, job.reason) == ("queued", Reason.RESULT_WAITS)
    assert [path.name.split(".")[0] for path in spooled(settings)] == [spool.stem_of(job, 1)]
    Job.objects.update(run_after=timezone.now())
    worker = WorkerPool(server.upstream, 1, threading.Event())
    assert worker.run_once(Backoff(), blocking=False) == 0
    job.refresh_from_db()
    assert (job.state, job.reason) == ("queued", Reason.RESULT_WAITS)
    assert "a paid result waits to be stored" in caplog.text
    assert "Traceback" not in caplog.text
    swift.start()
    job, _ = run(server)
    assert (job.state, server.calls) == ("done", 1)
    assert ledger.balances(world.team) == PAID_ONCE
    assert spooled(settings) == []


@pytest.mark.parametrize("step", [(files, "put"), (attempts, "book")], ids=["not stored", "not booked"])
def test_a_result_is_found_again_after_a_crash(world: World, server: Server, step: tuple[Any, str]) -> None:
    world.job()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*step, die)
        with pytest.raises(SystemExit):
            run(server)
    job, _ = run(server)
    assert (job.state, server.calls) == ("done", 1)
    assert ledger.balances(world.team) == PAID_ONCE
    with default_storage.open(str(job.result)) as file:
        assert file.read() == wire.CUT_OUT


def die(*_: Any) -> None:
    raise SystemExit


def test_a_worker_that_is_killed_amid_the_upload_has_paid_once(
    committed_world: World, server: Server, swift: Swift, settings: Settings, tmp_path: Path
) -> None:
    committed_world.job()
    assert swift.process
    freeze = partial(swift.process.send_signal, signal.SIGSTOP)
    server.script.append(after(freeze))
    connections.close_all()  # a connection isn't shared by two processes
    worker = fork(lambda: run(server), tmp_path / "log")
    try:
        size = len(wire.CUT_OUT)
        wait_for(lambda: size in [path.stat().st_size for path in spooled(settings)], 30, "the body")
        assert not worker.wait(0.5)  # it waits for the bucket's answer
    finally:
        worker.kill()
        swift.process.send_signal(signal.SIGCONT)
    job, _ = run(server)
    assert (job.state, server.calls) == ("done", 1)
    assert ledger.balances(committed_world.team) == PAID_ONCE


@pytest.mark.parametrize(("host", "reason"), [("other", Reason.RESULT_WAITS), (None, Reason.RESULT_LOST)])
def test_a_result_that_may_lie_on_another_machine_is_left_to_it(
    world: World, server: Server, host: str | None, reason: Job.Reason
) -> None:
    """The control: if no other machine has been at work, the body is lost, and its charge is booked."""
    world.job()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "put", die)
        with pytest.raises(SystemExit):
            run(server)
    for path in spool.folder().iterdir():
        path.unlink()
    workers.register(process_name(), 1)
    if host:
        WorkerHeartbeat.objects.create(worker=f"{host}:1", threads=1, seen_at=timezone.now())
    assert (run(server)[0].reason, server.calls) == (reason, 1)


def test_nothing_is_held_for_an_upload_that_cannot_be_stored(
    world: World, alice: Client, swift: Swift, bucket: S3Storage, settings: Settings
) -> None:
    break_secret(settings, swift, bucket)
    batch, file = browser.begin(alice), browser.listing()
    browser.register(alice, batch, file)
    answer = browser.send_file(alice, batch, file["request_id"], SimpleUploadedFile("a.png", small_png()))
    assert (answer.status_code, "storage of the pictures" in answer.content.decode()) == (503, True)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_pages_and_programs_are_told_that_the_storage_is_away(
    committed_world: World,
    server: Server,
    client: Client,
    program: Program,
    settings: Settings,
    swift: Swift,
    bucket: S3Storage,
) -> None:
    world = committed_world
    client.force_login(world.alice)
    world.job()
    job, _ = run(server)
    break_secret(settings, swift, bucket)
    client.raise_request_exception = False
    page = client.get(reverse("download", args=[world.team.slug, job.pk]))
    assert (page.status_code, "Retry-After" in page.headers) == (503, True)
    assert program.http.get(f"/api/jobs/{job.pk}/result").status_code == 503
    answer = program.call()
    assert (answer.status_code, server.calls) == (503, 1)
    assert ledger.balances(world.team) == PAID_ONCE


def fetch(link: str, **headers: str) -> httpx.Response:
    return httpx.get(link, headers=headers, trust_env=False)
