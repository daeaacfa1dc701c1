"""E6: browsers, programs and workers that retry ask at once for credits that are enough for ten."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances, InsufficientCreditsError
from accounts.models import ApiKey, LedgerAccount, Transfer
from conftest import World, small_png
from jobs.calls import attempts, outcomes
from jobs.calls.upstream import Upstream
from jobs.connections import give_back
from jobs.intake import submit
from jobs.models import Attempt, Job
from jobs.queue import claims, concurrency
from jobs.tests import browser
from jobs.tests import upstream as wire
from jobs.tests.api.programs import begun
from jobs.tests.upstream import Server
from jobs.worker import run
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases

Ask = Callable[[], bool]
ENOUGH = 10
REQUESTS = 36
RETRIES = REQUESTS // 3
PICTURE = small_png()


def by_browser(world: World, cookies: str) -> bool:
    """Upload through the view; a picture that there are no credits for is kept."""
    client, request_id = Client(headers={"cookie": cookies}), uuid4()
    answer = browser.upload(client, PICTURE, request_id=request_id)
    assert answer.status_code == 201, answer.content
    job = Job.objects.get(request_id=request_id)
    assert job.state in ("queued", "kept")
    return job.state == "queued"


def by_program(key: ApiKey) -> bool:
    """Submit an API call, up to the moment before it is sent."""
    try:
        begun(key)
    except InsufficientCreditsError:
        return False
    return True


def by_worker(job: Job) -> bool:
    """Retry as a worker does after a 500 that was charged: another attempt with a hold of its own."""
    with claims.owned(job):
        outcomes.retry(job, Job.Reason.SERVER_FAILED, 0)
    job.refresh_from_db()
    assert (job.state, job.reason) in (("queued", "server_failed"), ("failed", "no_credits"))
    return job.state == "queued"


@pytest.fixture
def jobs_to_retry(committed_world: World, server: Server) -> list[Job]:
    """In a worker's pool, each after a 500 that used up its hold."""
    server.otherwise = wire.error(500, X_Credits_Charged="1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcomes, "retry", lambda *_: None)
        patch.setattr(concurrency, "allowed", lambda *_: 100)
        upstream = server.upstream
        return [fail(committed_world, upstream) for _ in range(RETRIES)]


def fail(world: World, upstream: Upstream) -> Job:
    world.job(PICTURE)
    job = claims.claim("test")
    assert job
    run.process(job, upstream, Backoff())
    return job


@pytest.fixture
def requests(committed_world: World, jobs_to_retry: list[Job]) -> list[Ask]:
    """Of the three kinds in turn, with credit left for ten of them."""
    world = committed_world
    client = Client()
    client.force_login(world.bob)
    cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())
    key = keys.create(world.team, world.bob, "shop")[0]
    left = ledger.balances(world.team).available - ENOUGH * CREDIT
    ledger.adjust(world.team, -left, key="rest", actor=world.alice, memo="for the test")
    kinds: Iterator[Iterator[Ask]] = cycle(
        [
            cycle([partial(by_browser, world, cookies)]),
            cycle([partial(by_program, key)]),
            iter([partial(by_worker, job) for job in jobs_to_retry]),
        ]
    )
    return [next(kind) for kind in islice(kinds, REQUESTS)]


def ask_at_once(requests: list[Ask], connections: int) -> int:
    """All of them over so many connections; returns how many were granted."""
    start = threading.Barrier(connections)

    def ask(mine: list[Ask]) -> int:
        try:
            start.wait()
            return sum(request() for request in mine)
        finally:
            connection.close()

    with ThreadPoolExecutor(connections) as pool:
        return sum(pool.map(ask, [requests[n::connections] for n in range(connections)]))


def stored(settings: Settings) -> int:
    return sum(path.is_file() for path in Path(settings.MEDIA_ROOT).rglob("*"))


@pytest.mark.parametrize("connections", [2, 8, 32])
def test_ten_are_granted_however_many_ask_at_once(
    committed_world: World,
    requests: list[Ask],
    connections: int,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrency, "allowed", lambda *_: 100)
    before = (Job.objects.count(), Attempt.objects.count(), Transfer.objects.filter(kind="hold").count())
    assert ask_at_once(requests, connections) == ENOUGH

    balances = ledger.balances(committed_world.team)
    assert balances == Balances(available=0, held=ENOUGH * CREDIT, spent=RETRIES * CREDIT)
    assert not LedgerAccount.objects.filter(balance_microcredits__lt=0).exclude(kind="issued").exists()
    jobs, tries, holds = before
    uploads = Job.objects.exclude(state="kept").count() - jobs
    retried = Attempt.objects.filter(number=2).count()
    assert uploads + retried == ENOUGH
    assert Attempt.objects.count() == tries + ENOUGH
    assert Transfer.objects.filter(kind="hold").count() == holds + ENOUGH
    assert stored(settings) == Job.objects.count()
    assert list(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir()) == []


def test_a_check_followed_by_a_write_grants_more(
    committed_world: World, requests: list[Ask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: everybody has checked before anybody writes."""
    all_have_checked = threading.Barrier(REQUESTS)

    def check_then_write(team: object, amount: int, *, key: str, **_: object) -> Transfer:
        account = LedgerAccount.objects.get(team=committed_world.team, kind="available")
        give_back()  # the connection: the pool has fewer than there are who wait
        all_have_checked.wait(30)
        if account.balance_microcredits < amount:
            raise InsufficientCreditsError(amount, account.balance_microcredits)
        account.balance_microcredits -= amount
        account.save()
        held = LedgerAccount.objects.get(team=committed_world.team, kind="held")
        hold = Transfer(debit=account, credit=held, amount_microcredits=amount, kind="hold")
        hold.idempotency_key, hold.team = key, committed_world.team
        hold.available_microcredits = account.balance_microcredits
        hold.save()
        return hold

    # Everybody may try at once, or some would wait in line for those whom the barrier holds.
    monkeypatch.setattr(concurrency, "allowed", lambda *_: 100)
    # No check may sit inside a write transaction, which SQLite lets in one at a time.
    monkeypatch.setattr(ledger, "hold", check_then_write)
    monkeypatch.setattr(claims, "owned", nullcontext)
    monkeypatch.setattr(submit, "_queue_or_keep", submit._queue.__wrapped__)  # type: ignore[attr-defined]
    monkeypatch.setattr(submit, "_begin", submit._begin.__wrapped__)  # type: ignore[attr-defined]
    monkeypatch.setattr(claims, "admit", lambda: None)
    monkeypatch.setattr(attempts, "_prepare", attempts._prepare.__wrapped__)  # type: ignore[attr-defined]
    assert ask_at_once(requests, REQUESTS) == REQUESTS
