"""Workers are told to look once a job is surely there, and a broker that is away costs no upload."""

import logging
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from conftest import World
from jobs.intake import submit
from jobs.models import Job
from jobs.queue import claims, notify
from jobs.tests import browser
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from jobs.tests.worker.test_worker import until, working

pytestmark = pytest.mark.both_databases


def seen_by_others() -> int:
    """The jobs that another connection can see."""

    def count() -> int:
        try:
            return Job.objects.count()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(count).result()


class Broker:
    """``looks``: what was sent, each as the number of jobs that a worker could see by then."""

    def __init__(self) -> None:
        self.looks: list[int] = []
        self.away = False

    def __call__(self, times: int) -> None:
        if self.away:
            raise ConnectionRefusedError("Connection refused")
        self.looks += [seen_by_others()] * times


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(notify, "_notifier", lambda: broker)
    return broker


def test_an_upload_is_one_look_after_its_commit(committed_world: World, broker: Broker) -> None:
    with transaction.atomic():
        committed_world.job()
        assert broker.looks == []
    assert broker.looks == [1]


def test_trying_again_is_one_look(committed_world: World, broker: Broker, server: Server) -> None:
    committed_world.job()
    server.script.append(wire.error(400))
    job, _ = run(server)
    submit.submit_again(job, committed_world.alice)
    assert len(broker.looks) == 2


def test_what_is_rolled_back_is_no_look(committed_world: World, broker: Broker) -> None:
    def break_off() -> None:
        with transaction.atomic():
            committed_world.job()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert broker.looks == []
    assert not Job.objects.exists()


def test_what_is_refused_is_no_look(committed_world: World, broker: Broker) -> None:
    world = committed_world
    ledger.adjust(world.team, -100 * CREDIT, key="rest", actor=world.alice, memo="for the test")
    with pytest.raises(ledger.InsufficientCreditsError):
        world.job()
    assert broker.looks == []


def test_the_same_request_again_is_no_second_look(committed_world: World, broker: Broker) -> None:
    request_id: UUID = uuid4()
    for _ in range(2):
        committed_world.job(request_id=request_id)
    assert broker.looks == [1]


def test_a_look_sent_at_once_would_come_before_the_job(
    committed_world: World, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a worker that is woken inside the transaction finds nothing."""
    monkeypatch.setattr(notify, "after_commit", lambda: notify.send(1))
    committed_world.job()
    assert broker.looks == [0]


def upload(world: World) -> int:
    client = Client()
    client.force_login(world.bob)
    status: int = browser.upload(client).status_code
    return status


def test_a_broker_that_is_away_costs_no_upload(
    committed_world: World, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.away = True
    with caplog.at_level(logging.WARNING, "jobs.queue.notify"):
        assert upload(committed_world) == 201
    assert "the broker can't be reached" in caplog.text
    assert claims.claimable_count() == 1
    assert ledger.balances(committed_world.team).held == CREDIT


def test_workers_that_poll_need_no_waking(committed_world: World, server: Server, settings: Settings) -> None:
    assert settings.WAKE_WORKERS == "jobs.queue.notify.skip"
    assert notify._notifier() is notify.skip
    with working(server.upstream):
        committed_world.job()
        until(lambda: Job.objects.filter(state="done").exists())
