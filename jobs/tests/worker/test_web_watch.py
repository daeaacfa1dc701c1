"""Calls that a killed web process left behind, where no worker runs: another web process ends them."""

import errno
import time
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts.api_keys import keys
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World
from jobs.calls import attempts, direct
from jobs.calls.execute import NO_LISTENER
from jobs.models import Attempt, Job
from jobs.queue import claims, heartbeat, stopping, workers
from jobs.storage import files
from jobs.tests.api.programs import begun
from jobs.tests.upstream import Server, run
from jobs.worker import web_watch

pytestmark = pytest.mark.both_databases

State, Reason = Job.State, Job.Reason
UNTOUCHED = Balances(available=100 * CREDIT)


@pytest.fixture
def call(committed_world: World) -> Job:
    """A program's, prepared by a web process that is gone."""
    key, _ = keys.create(committed_world.team, committed_world.bob, "shop")
    return begun(key)


def lapse() -> None:
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_call_that_was_only_prepared_is_released(committed_world: World, call: Job, server: Server) -> None:
    lapse()
    web_watch.reclaim(server.upstream)
    call.refresh_from_db()
    assert (call.state, call.reason) == (State.FAILED, Reason.INTERRUPTED)
    assert Attempt.objects.get().state == Attempt.State.RELEASED
    assert ledger.balances(committed_world.team) == UNTOUCHED
    assert server.calls == 0


def test_a_call_that_was_sent_is_in_doubt_and_never_sent_again(call: Job, server: Server) -> None:
    with claims.owned(call):
        attempts.send(call.last_attempt)
    lapse()
    web_watch.reclaim(server.upstream)
    call.refresh_from_db()
    assert (call.state, Attempt.objects.get().state) == (State.IN_DOUBT, Attempt.State.IN_DOUBT)
    assert server.calls == 0


def test_a_call_in_hand_is_left_alone(call: Job, server: Server) -> None:
    web_watch.reclaim(server.upstream)
    call.refresh_from_db()
    assert (call.state, call.fence) == (State.RUNNING, 1)


def test_a_picture_from_the_browser_is_left_to_workers(committed_world: World, server: Server) -> None:
    """Its call may have to be made."""
    committed_world.job()
    assert claims.claim("killed")
    lapse()
    web_watch.reclaim(server.upstream)
    assert (Job.objects.get().state, server.calls) == (State.RUNNING, 0)


def test_while_calls_are_stopped_a_browsers_call_that_was_made_is_ended(
    committed_world: World, server: Server
) -> None:
    """No worker claims it then, and it would stay sent."""
    committed_world.job()
    job = claims.claim("killed")
    assert job
    with claims.owned(job):
        attempts.send(job.last_attempt)
    lapse()
    web_watch.reclaim(server.upstream)
    assert Attempt.objects.get().state == Attempt.State.SENT
    stopping.stop("restored")
    web_watch.reclaim(server.upstream)
    assert (Job.objects.get().state, server.calls) == (State.IN_DOUBT, 0)


def test_while_calls_are_stopped_one_that_was_not_made_is_left_alone(
    committed_world: World, server: Server
) -> None:
    committed_world.job()
    assert claims.claim("killed")
    lapse()
    stopping.stop("restored")
    web_watch.reclaim(server.upstream)
    assert (Job.objects.get().state, server.calls) == (State.RUNNING, 0)


def test_a_paid_result_that_waits_for_room_is_stored(
    call: Job, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program repeats its request for it, and there may be no worker."""
    with monkeypatch.context() as full:
        full.setattr(files, "put", Mock(side_effect=OSError(errno.ENOSPC, "full")))
        direct.call(call, call.last_attempt, server.upstream, time.monotonic(), NO_LISTENER)
    call.refresh_from_db()
    assert (call.state, call.reason) == (State.QUEUED, Reason.RESULT_WAITS)
    web_watch.reclaim(server.upstream)
    call.refresh_from_db()
    assert call.state == State.QUEUED  # it isn't due yet
    Job.objects.update(run_after=timezone.now())
    web_watch.reclaim(server.upstream)
    call.refresh_from_db()
    assert (call.state, server.calls) == (State.DONE, 1)


def test_a_browsers_is_left_to_workers_unless_calls_are_stopped(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed_world.job()
    with monkeypatch.context() as full:
        full.setattr(files, "put", Mock(side_effect=OSError(errno.ENOSPC, "full")))
        assert run(server)[0].reason == Reason.RESULT_WAITS
    Job.objects.update(run_after=timezone.now())
    web_watch.reclaim(server.upstream)
    assert Job.objects.get().state == State.QUEUED
    stopping.stop("restored")
    web_watch.reclaim(server.upstream)
    assert (Job.objects.get().state, server.calls) == (State.DONE, 1)


def test_after_an_outage_it_waits_until_those_who_live_have_renewed_their_leases(
    call: Job, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lapse()
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "register", Mock(side_effect=OperationalError))
        wait = web_watch.look(server.upstream)
        patch.setattr(workers, "register", Mock(side_effect=ValueError))
        assert web_watch.look(server.upstream, wait) == wait
    monkeypatch.setattr(web_watch, "reclaim", lambda _: waits.append(0))
    assert web_watch.look(server.upstream, wait) == 0
    assert waits == [heartbeat.STEADY_AFTER_SECONDS, 0]  # it waits before it ends a call
