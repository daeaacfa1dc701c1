"""Whoever claims a job after a crash goes on from its rows; whoever was frozen meanwhile changes nothing."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.calls import attempts
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.storage import files
from jobs.tests import upstream as wire
from jobs.tests.calls.test_one_call import balances, content
from jobs.tests.upstream import Server, run
from jobs.worker import run as process
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases

Reason = Job.Reason


def crash_before(step: tuple[Any, str], server: Server, charges: bool = True) -> None:
    """Process once, and die where this function of this module would have been called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*step, die)
        with pytest.raises(SystemExit):
            run(server, charges=charges)


def die(*_args: Any, **_kwargs: Any) -> None:
    raise SystemExit


# What the process was about to do when it died, the job after a restart, and the calls made in all.
CRASHES: dict[str, tuple[tuple[Any, str], str, int]] = {
    "nothing was sent": ((attempts, "send"), "done", 1),
    "sent, headers unrecorded": ((attempts, "answer"), "in_doubt", 1),
    "headers recorded, body unread": ((files, "fill"), "failed", 1),
    "body read, not stored": ((files, "put"), "done", 1),
    "stored, not booked": ((attempts, "book"), "done", 1),
    "in the middle of booking": ((claims, "finish"), "done", 1),
}


@pytest.mark.parametrize(("step", "state", "calls"), CRASHES.values(), ids=CRASHES)
def test_a_restart_goes_on_from_the_rows(
    world: World, server: Server, step: tuple[Any, str], state: str, calls: int
) -> None:
    world.job()
    crash_before(step, server)
    job, _ = run(server)

    assert (job.state, server.calls) == (state, calls)
    in_doubt = CREDIT if state == "in_doubt" else 0
    assert balances(world).spent + in_doubt == CREDIT * len(server.charged)
    assert balances(world).held == in_doubt
    if state == "done":
        assert content(job) == wire.CUT_OUT


@pytest.mark.parametrize("step", [(files, "put"), (attempts, "book")], ids=["not stored", "not booked"])
def test_a_result_longer_than_any_upload_survives_a_crash(
    world: World, server: Server, step: tuple[Any, str]
) -> None:
    long = small_png(3, 65_536)
    server.script.append(wire.answer(long))
    world.job()
    crash_before(step, server)
    job, _ = run(server)
    assert (job.state, server.calls, content(job)) == ("done", 1, long)


@pytest.mark.parametrize("step", ["send", "answer", "book"])
def test_the_embedded_engine_always_finishes_after_a_crash(world: World, server: Server, step: str) -> None:
    world.job()
    crash_before((attempts, step), server, charges=False)
    while (job := run(server, charges=False)[0]).state == "queued":
        pass
    assert job.state == "done"
    assert balances(world) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_a_result_that_was_torn_while_it_was_copied_is_no_result(world: World, server: Server) -> None:
    """Files and temporary files on two file systems: a rename becomes a copy, and a crash can cut it."""
    world.job()
    crash_before((attempts, "book"), server)
    name = files.result_name(Job.objects.get(), 1)
    with default_storage.open(name, "r+b") as stored:
        stored.truncate(len(wire.CUT_OUT) // 2)
    job, _ = run(server)
    assert (job.state, job.reason, server.calls) == ("failed", Reason.RESULT_LOST, 1)
    assert balances(world) == Balances(available=99 * CREDIT, spent=CREDIT)
    assert not default_storage.exists(name)


def test_a_paid_result_that_cannot_be_read_waits_until_it_can(world: World, server: Server) -> None:
    world.job()
    crash_before((attempts, "book"), server)
    path = Path(default_storage.path(files.result_name(Job.objects.get(), 1)))
    aside = path.rename(path.with_suffix(".aside"))
    path.mkdir()  # which nobody can open as a file, however mighty
    job, _ = run(server)
    assert (job.state, job.reason, balances(world).held) == ("queued", Reason.RESULT_WAITS, CREDIT)

    path.rmdir()
    aside.rename(path)
    job, _ = run(server)
    assert (job.state, server.calls, content(job)) == ("done", 1, wire.CUT_OUT)


class Sleeper(Upstream):
    """Its worker is frozen just before the call, and wakes up when another one has done the job."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.upstream.client, charges=True)
        self._server = server

    def ensure_verified(self) -> None:
        assert run(self._server)[0].state == "done"


@pytest.fixture
def sleepy_job(world: World) -> Job:
    world.job()
    job = claims.claim("frozen")
    assert job
    return job


def test_a_stale_worker_changes_nothing(sleepy_job: Job, server: Server) -> None:
    with pytest.raises(claims.LostLeaseError):
        process.process(sleepy_job, Sleeper(server), Backoff())
    sleepy_job.refresh_from_db()
    assert (sleepy_job.state, server.calls) == ("done", 1)


def test_without_its_guards_a_stale_worker_calls_again(
    sleepy_job: Job, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: no fence, and no look at the attempt's state."""
    monkeypatch.setattr(claims, "owned", nullcontext)
    monkeypatch.setattr(claims, "_release", release_blindly)
    monkeypatch.setattr(attempts, "_move", move_blindly)
    with pytest.raises(ledger.AlreadyResolvedError):
        process.process(sleepy_job, Sleeper(server), Backoff())
    assert server.calls == 2


def release_blindly(job: Job, state: str, reason: str | None, **changes: Any) -> None:
    changes |= {"state": state, "reason": reason or "", "lease_until": None}
    Job.objects.filter(pk=job.pk).update(**changes)


def move_blindly(attempt: Attempt, _expected: str, state: str, **changes: Any) -> None:
    for name, value in {"state": state, **changes}.items():
        setattr(attempt, name, value)
    attempt.save()


# An answer other than 200 was recorded, and the process died before it was dealt with: the job, its reason
# and its last attempt after a restart, without another call.
RECORDED: dict[int, tuple[str, Reason, str]] = {
    429: ("queued", Reason.SLOW_DOWN, "prepared"),
    401: ("queued", Reason.ACCOUNT, "prepared"),
    404: ("queued", Reason.NOT_PIXIAN, "prepared"),
    500: ("queued", Reason.SERVER_FAILED, "prepared"),
    504: ("in_doubt", Reason.UNANSWERED, "in_doubt"),
    400: ("failed", Reason.REFUSED, "released"),
}


@pytest.mark.parametrize(("status", "after"), RECORDED.items(), ids=str)
def test_a_recorded_answer_is_dealt_with_after_a_restart(
    world: World, server: Server, status: int, after: tuple[str, Reason, str]
) -> None:
    world.job()
    server.script.append(wire.error(status))
    crash_before((process, "_handle_error"), server)
    assert Attempt.objects.get().state == "answered"

    job, _ = run(server)
    assert (job.state, job.reason, job.last_attempt.state) == after
    assert job.attempts.get(number=1).error_message in ("", f"The server responded with HTTP {status}.")
    assert (job.attempts.count(), server.calls) == (2 if status == 500 else 1, 1)
    assert balances(world).held == (0 if status == 400 else CREDIT)
    assert balances(world).spent == 0


@pytest.mark.parametrize("status", [400, 401, 429, 500, 504])
def test_a_recorded_charge_is_booked_after_a_restart_whatever_the_answer_was(
    world: World, server: Server, status: int
) -> None:
    world.job()
    server.script.append(wire.error(status, X_Credits_Charged="0.25"))
    crash_before((process, "_handle_error"), server)
    job, _ = run(server)
    assert (job.attempts.get(number=1).state, balances(world).spent, server.calls) == ("booked", 250_000, 1)


def test_without_a_record_the_same_answer_would_leave_a_doubt(world: World, server: Server) -> None:
    """The control: what is committed before the body is read makes the difference."""
    world.job()
    server.script.append(wire.error(400))
    crash_before((attempts, "answer"), server)
    assert run(server)[0].state == "in_doubt"
