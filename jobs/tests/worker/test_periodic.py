"""What workers do on the side: once over all of them, and never at the cost of their work."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import rate_limits
from accounts.models import Invitation, LedgerAccount, RateLimit, Role
from accounts.teams import invitations
from conftest import World
from jobs.calls import attempts
from jobs.models import Attempt, BalanceSnapshot, PeriodicTask, Verification
from jobs.queue import claims
from jobs.storage import quarantine
from jobs.tests.upstream import Server
from jobs.worker import periodic

pytestmark = pytest.mark.both_databases

LONG_AGO = timezone.now() - timedelta(days=2)


def test_the_balance_is_asked_for_once_an_hour_by_one_of_all(world: World, server: Server) -> None:
    for _worker in range(3):
        periodic.run_due(server.upstream)
    assert [s.microcredits for s in BalanceSnapshot.objects.all()] == [100_000_000]
    PeriodicTask.objects.filter(name="balance").update(due_at=LONG_AGO)
    periodic.run_due(server.upstream)
    assert BalanceSnapshot.objects.count() == 2


def test_the_balance_waits_for_calls_in_flight(world: World, server: Server) -> None:
    world.job()
    job = claims.claim("test")
    assert job
    with claims.owned(job):
        attempts.send(job.last_attempt)
    periodic.run_due(server.upstream)
    assert not BalanceSnapshot.objects.exists()
    Attempt.objects.update(state="released", answered_at=timezone.now(), status=400)
    periodic.run_due(server.upstream)
    assert BalanceSnapshot.objects.exists()


def test_an_engine_that_charges_nobody_has_no_balance(world: World, server: Server) -> None:
    upstream = server.upstream
    upstream.charges = False
    periodic.run_due(upstream)
    assert not BalanceSnapshot.objects.exists()


def test_spent_counts_are_purged_every_hour(world: World, server: Server) -> None:
    rate_limits.take(rate_limits.Bound("guesses:203.0.113.7", 60))
    RateLimit.objects.update(paid_off_at=1)
    periodic.run_due(server.upstream)
    assert RateLimit.objects.exists()
    PeriodicTask.objects.filter(name="purge").update(due_at=LONG_AGO)
    periodic.run_due(server.upstream)
    assert not RateLimit.objects.exists()


def test_more_spent_counts_than_one_purge_takes_are_purged_at_once(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MOST_PURGED", 2)
    RateLimit.objects.bulk_create(RateLimit(subject=str(number), paid_off_at=1) for number in range(5))
    PeriodicTask.objects.create(name="purge", due_at=LONG_AGO)
    periodic.run_due(server.upstream)
    assert not RateLimit.objects.exists()


def test_sessions_that_have_run_out_are_cleared_every_hour(
    world: World, server: Server, client: Client
) -> None:
    Client().force_login(world.bob)
    Session.objects.update(expire_date=LONG_AGO)
    client.force_login(world.alice)
    periodic.run_due(server.upstream)
    assert Session.objects.count() == 2
    PeriodicTask.objects.filter(name="sessions").update(due_at=LONG_AGO)
    periodic.run_due(server.upstream)
    assert [row.expire_date > timezone.now() for row in Session.objects.all()] == [True]


def test_invitations_that_expired_long_ago_are_deleted(world: World, server: Server) -> None:
    sent = invitations.invite(world.team, "dora@example.org", Role.MEMBER, world.alice)
    Invitation.objects.filter(pk=sent.invitation.pk).update(expires_at=LONG_AGO - timedelta(days=30))
    PeriodicTask.objects.create(name="invitations", due_at=LONG_AGO)
    periodic.run_due(server.upstream)
    assert not Invitation.objects.exists()
    assert PeriodicTask.objects.get(name="invitations").ran_at


def test_the_books_are_verified_a_day_after_the_first_start_and_then_nightly(
    world: World, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    periodic.run_due(server.upstream)
    assert not Verification.objects.exists()
    PeriodicTask.objects.filter(name="verify").update(due_at=LONG_AGO)
    LedgerAccount.objects.filter(kind="available").update(balance_microcredits=1)
    periodic.run_due(server.upstream)
    assert Verification.objects.get().findings
    assert "finds the books or files wrong" in caplog.text
    assert PeriodicTask.objects.get(name="verify").due_at > timezone.now()


def test_what_a_crash_left_behind_is_swept_before_the_books_are_verified(
    world: World, server: Server, settings: Settings
) -> None:
    kept = Path(settings.MEDIA_ROOT) / str(world.job().source.name)
    stray = kept.with_name("result-1.png")
    stray.write_bytes(b"stored, and its worker died")
    os.utime(stray, (LONG_AGO.timestamp(),) * 2)
    PeriodicTask.objects.create(name="verify", due_at=LONG_AGO)
    periodic.run_due(server.upstream)
    assert (kept.exists(), stray.exists()) == (True, False)
    assert [file.path.read_bytes() for file in quarantine.contents()] == [b"stored, and its worker died"]
    assert Verification.objects.get().findings == []


def test_a_chore_that_goes_wrong_stops_nothing(
    world: World, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.account_status = 401
    PeriodicTask.objects.create(name="verify", due_at=LONG_AGO)
    periodic.run_due(server.upstream)
    assert "a periodic task failed" in caplog.text
    assert Verification.objects.exists()


def test_the_last_run_is_recorded_once_it_came_to_its_end(world: World, server: Server) -> None:
    periodic.run_due(server.upstream)
    first = PeriodicTask.objects.get(name="balance").ran_at
    assert first
    PeriodicTask.objects.filter(name="balance").update(due_at=LONG_AGO)
    server.account_status = 503
    periodic.run_due(server.upstream)
    assert PeriodicTask.objects.get(name="balance").ran_at == first


def test_a_fault_of_ours_stops_no_worker_and_is_logged_with_where_it_is(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_upstream: object) -> None:
        raise IntegrityError("CHECK constraint failed")

    first, every, _do = periodic.TASKS["balance"]
    monkeypatch.setitem(periodic.TASKS, "balance", (first, every, fail))
    periodic.run_due(server.upstream)
    assert "Traceback" in caplog.text
    assert PeriodicTask.objects.get(name="balance").ran_at is None
