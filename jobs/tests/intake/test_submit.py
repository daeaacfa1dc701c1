"""Submitting a picture: what is held and stored, and what a refusal leaves behind."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import LedgerAccount, Transfer
from conftest import World, hold_of, small_png
from jobs.calls import attempts
from jobs.connections import give_back
from jobs.intake import submit
from jobs.intake.submit import NotFailedError, RequestReusedError, submit_again
from jobs.models import Job
from jobs.queue import claims

pytestmark = pytest.mark.both_databases


def stored(settings: Settings) -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def test_a_submitted_picture_is_stored_held_and_queued(world: World, photo: Callable[[str], bytes]) -> None:
    job = world.job(photo("chelsea"), user=world.bob)

    assert (job.state, job.width, job.height, job.content_type) == ("queued", 451, 300, "image/jpeg")
    assert job.estimated_microcredits == 451 * 300
    with job.source.open() as file:
        assert file.read() == photo("chelsea")
    attempt = job.last_attempt
    assert (attempt.state, hold_of(attempt).actor) == ("prepared", world.bob)
    assert ledger.balances(world.team).held == 451 * 300


def test_the_same_request_is_one_job(world: World, settings: Settings) -> None:
    request_id = uuid4()
    first = world.job(request_id=request_id)
    assert world.job(request_id=request_id) == first
    assert (Job.objects.count(), len(stored(settings))) == (1, 1)
    assert ledger.balances(world.team).held == CREDIT

    with pytest.raises(RequestReusedError):
        world.job(small_png(10, 10), request_id=request_id)


def test_a_refusal_leaves_nothing_behind(world: World, settings: Settings) -> None:
    with pytest.raises(ledger.InsufficientCreditsError):
        world.job(small_png(5000, 5000)) and [world.job(small_png(5000, 5000)) for _ in range(4)]
    assert Job.objects.count() == 4
    assert len(stored(settings)) == 4
    assert Transfer.objects.filter(kind="hold").count() == 4


def test_a_commit_whose_confirmation_was_lost_keeps_its_file(
    committed_world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender comes back with the same request, and finds the job it already has."""
    request_id, commit = uuid4(), getattr(connection, "_commit")  # noqa: B009 - of every backend

    def commit_and_lose() -> None:
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_commit", commit_and_lose)
        with pytest.raises(OperationalError):
            committed_world.job(request_id=request_id)
    job = committed_world.job(request_id=request_id)
    assert (Job.objects.get(), len(stored(settings))) == (job, 1)
    with job.source.open() as file:
        assert file.read() == small_png()


def test_a_failed_job_is_tried_again_with_a_hold_of_its_own(world: World) -> None:
    world.job()
    job = claims.claim("test")
    assert job
    with pytest.raises(NotFailedError):
        submit_again(job, world.bob)
    attempts.release(job.last_attempt)
    claims.fail(job, Job.Reason.REFUSED)

    submit_again(job, world.bob)
    job = claims.claim("test")
    assert job
    assert (job.last_attempt.number, hold_of(job.last_attempt).actor) == (2, world.bob)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, held=CREDIT)


def upload_at_once(world: World, times: int) -> int:
    """Upload from so many threads at once; return how many were accepted."""
    start = threading.Barrier(times)

    def one() -> bool:
        try:
            start.wait()
            world.job()
        except ledger.InsufficientCreditsError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(times) as pool:
        return sum(pool.map(lambda _: one(), range(times)))


def leave_credit_for(world: World, jobs: int) -> None:
    ledger.adjust(world.team, -(100 - jobs) * CREDIT, key="rest", actor=world.alice, memo="for the test")


def test_of_20_uploads_at_once_credit_for_7_accepts_7(committed_world: World, settings: Settings) -> None:
    world = committed_world
    leave_credit_for(world, 7)
    assert upload_at_once(world, 20) == 7
    assert ledger.balances(world.team) == Balances(held=7 * CREDIT)
    assert (Job.objects.count(), len(stored(settings))) == (7, 7)


def test_a_check_followed_by_a_write_oversells(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with a plain check in place of the guarded UPDATE, more than 7 get in."""
    world = committed_world
    leave_credit_for(world, 7)
    everyone_has_checked = threading.Barrier(20)

    def check_then_write(team: object, amount: int, *, key: str, **_: object) -> Transfer:
        account = LedgerAccount.objects.get(team=world.team, kind="available")
        give_back()  # the connection: the pool has fewer than there are who wait
        everyone_has_checked.wait(30)
        if account.balance_microcredits < amount:
            raise ledger.InsufficientCreditsError(amount, account.balance_microcredits)
        account.balance_microcredits -= amount
        account.save()
        held = LedgerAccount.objects.get(team=world.team, kind="held")
        row = Transfer(debit=account, credit=held, amount_microcredits=amount, kind="hold")
        row.idempotency_key, row.team = key, world.team
        row.available_microcredits = account.balance_microcredits
        row.save()
        return row

    # The check must not sit inside a write transaction, which SQLite lets in one at a time.
    monkeypatch.setattr(ledger, "hold", check_then_write)
    monkeypatch.setattr(submit, "_queue", submit._queue.__wrapped__)  # type: ignore[attr-defined]
    monkeypatch.setattr(attempts, "_prepare", attempts._prepare.__wrapped__)  # type: ignore[attr-defined]
    assert upload_at_once(world, 20) > 7
