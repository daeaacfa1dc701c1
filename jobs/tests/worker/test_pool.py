"""What a process has in hand: a job that slipped through one thread's fingers is in another's."""

import threading
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from conftest import World
from jobs.models import Job
from jobs.queue import claims, heartbeat
from jobs.tests.upstream import Server
from jobs.tests.worker.test_worker import until
from jobs.worker import pool
from jobs.worker.pool import WorkerPool
from jobs.worker.run import process
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases


def test_a_lease_lost_to_a_thread_of_the_same_process_goes_on_being_renewed(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away for longer than a lease. The thread that had the job first gives up, and must
    not take the second one's lease along."""
    job = committed_world.job()
    both = WorkerPool(server.upstream, 2, threading.Event())
    taken, given_up = threading.Event(), threading.Event()
    renewed: list[tuple[int, int]] = []
    monkeypatch.setattr(claims, "heartbeat", lambda *lease: renewed.append(lease))

    def turn() -> None:
        both.run_once(Backoff(), blocking=False)
        connection.close()

    other = threading.Thread(target=turn)

    def first(*args: Any) -> int:
        Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        monkeypatch.setattr(pool, "process", second)
        other.start()
        assert taken.wait(20)
        raise claims.LostLeaseError

    def second(*args: Any) -> int:
        taken.set()
        assert given_up.wait(20)
        both._leases._renew()
        return process(*args)

    monkeypatch.setattr(pool, "process", first)
    turn()
    given_up.set()
    other.join(20)
    assert renewed == [(job.pk, 2)]
    job.refresh_from_db()
    assert (job.state, job.fence, both._leases._held) == ("done", 2, set())


def test_nobody_claims_before_those_who_live_have_their_leases_back(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away for longer than a lease: all have run out, and only their owners know of them."""
    job = committed_world.job()
    left = claims.claim("another process")
    assert left == job
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    here = WorkerPool(server.upstream, 1, threading.Event())

    def away() -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(here._leases, "_on_beat", away)
        assert not here._leases._renew()
    assert here.run_once(Backoff(), blocking=False) > 0
    monkeypatch.setattr(heartbeat, "STEADY_AFTER_SECONDS", 0.3)
    assert here._leases._renew()
    assert here.run_once(Backoff(), blocking=False) > 0
    assert claims.heartbeat(left.pk, left.fence)  # its owner is back
    until(lambda: here._leases.is_steady)
    here.run_once(Backoff(), blocking=False)
    job.refresh_from_db()
    assert (job.state, job.fence) == ("running", left.fence)


def test_a_fault_of_ours_after_an_outage_does_not_end_claiming(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats that go on failing, but not for want of the database, are no reason to wait for ever."""
    monkeypatch.setattr(heartbeat, "STEADY_AFTER_SECONDS", 0)
    here = WorkerPool(server.upstream, 1, threading.Event())
    for error, is_steady in ((OperationalError, False), (ValueError, True), (ValueError, True)):
        monkeypatch.setattr(here._leases, "_on_beat", Mock(side_effect=error))
        assert not here._leases._renew()
        assert here._leases.is_steady == is_steady
