"""The checker notices each thing that doesn't fit, and nothing if all went well."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.models import LedgerAccount
from chaos import upstream
from chaos.checker import failures
from chaos.upstream import Log, result_for
from conftest import World, small_png
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, Job, Rendition
from jobs.queue import claims
from jobs.worker.run import process
from pixian.client.backoff import Backoff
from pixian.client.client import Client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[upstream.Server]:
    with upstream.running(tmp_path_factory.mktemp("upstream") / "log") as server:
        yield server


@pytest.fixture
def log(world: World, server: upstream.Server) -> Log:
    """Return the journal of the one call for the world's one job."""
    job = world.job(small_png(20, 10))
    claimed = claims.claim("test")
    assert claimed
    with Client(server.url, server.credentials) as client:
        process(claimed, Upstream(client, charges=True), Backoff())
    told = server.log()
    calls = told.calls_of(job.source_sha256)[-1:]
    return Log(calls, [charge for charge in told.charges if charge.call == calls[0].n])


def test_what_went_well_is_found_well(log: Log) -> None:
    assert failures(log) == []


def test_what_is_made_of_pictures_is_no_stray(log: Log) -> None:
    """Renditions have rows of their own; previews are named after what they show."""
    job = Job.objects.get()
    name, content = f"{job.source.name}.rendition.png", small_png()
    facts = {"style": {}, "sha256": sha256(content).hexdigest(), "bytes": len(content)}
    Rendition.objects.create(job=job, style_sha256="0" * 64, state="made", file=name, **facts)
    for made in (name, f"{job.source.name}.tile.webp", f"{job.result.name}.page.webp"):
        Path(default_storage.path(made)).write_bytes(content)
    assert failures(log) == []


def still_running() -> None:
    Job.objects.update(state="running", lease_until=timezone.now())


def ended_otherwise() -> None:
    Attempt.objects.update(state="released")


def doubted_without_reason() -> None:
    Attempt.objects.update(state="in_doubt")


def another_header() -> None:
    Attempt.objects.update(charged_header="0.000201")


def balance_without_transfer() -> None:
    LedgerAccount.objects.filter(kind="spent").update(balance_microcredits=7)


def hold_of_nobody() -> None:
    team = Job.objects.get().team
    ledger.hold(team, 5, key="of nobody", reference="nobody")


def lost_file() -> None:
    default_storage.delete(str(Job.objects.get().result.name))


def damaged_file() -> None:
    Path(Job.objects.get().result.path).write_bytes(b"nothing")


def another_pictures_result() -> None:
    content = result_for("ab" * 32)
    Path(Job.objects.get().result.path).write_bytes(content)
    Job.objects.update(result_sha256=sha256(content).hexdigest(), result_bytes=len(content))


def stray_file() -> None:
    Path(default_storage.path("stray")).touch()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (still_running, "is still running"),
        (ended_otherwise, "its last attempt released"),
        (doubted_without_reason, "there is no reason for a doubt"),
        (another_header, "the header '0.000201' was recorded"),
        (balance_without_transfer, "its transfers add up to"),
        (hold_of_nobody, "is no attempt's"),
        (lost_file, "has lost its file"),
        (damaged_file, "isn't what came from the upstream"),
        (another_pictures_result, "the result is another picture's"),
        (stray_file, "no row names the file stray"),
    ],
)
def test_damage_here_is_found(log: Log, damage: Callable[[], None], told: str) -> None:
    damage()
    assert any(told in failure for failure in failures(log)), failures(log)


def charged_again(log: Log) -> Log:
    return replace(log, charges=log.charges * 2)


def never_charged(log: Log) -> Log:
    return replace(log, charges=[])


def charged_more(log: Log) -> Log:
    (charge,) = log.charges
    return replace(log, charges=[replace(charge, microcredits=charge.microcredits + 1)])


def called_again(log: Log) -> Log:
    (call,) = log.calls
    return replace(log, calls=[call, replace(call, n=call.n + 1)])


def called_too_early(log: Log) -> Log:
    return replace(log, calls=[replace(call, at=0) for call in log.calls])


def charged_for_nobody(log: Log) -> Log:
    (charge,) = log.charges
    return replace(log, charges=[charge, replace(charge, call=charge.call + 1, sha256="ab" * 32)])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (charged_again, "charged once more"),
        (never_charged, "0.0002 booked, and the journal has no charge"),
        (charged_more, "0.0002 booked, and the journal charged 0.000201"),
        (called_again, "2 calls came, 1 were declared"),
        (called_again, "was repeated"),
        (called_too_early, "came before its job was there"),
        (charged_for_nobody, "was charged for no attempt"),
    ],
)
def test_what_the_log_has_otherwise_is_found(log: Log, damage: Callable[[Log], Log], told: str) -> None:
    found = failures(damage(log))
    assert any(told in failure for failure in found), found


def test_a_site_without_jobs_is_found_well(world: World) -> None:
    assert failures(Log()) == []
