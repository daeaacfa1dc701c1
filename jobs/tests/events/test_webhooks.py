"""Deliveries over a real wire: signed, tried again, given up, and held up by nobody else's receiver."""

import threading
import time
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger.money import MICROCREDITS as CREDIT
from conftest import World
from jobs.events import old_events, outbox, payloads, signing, subscriptions, webhooks
from jobs.events.webhooks import BACKOFF, send_due
from jobs.models import Delivery, Event, Webhook
from jobs.tests import upstream as wire
from jobs.tests.events.receiver import EVERYTHING, Received, Receiver
from jobs.tests.upstream import Server, run
from pixian.server.url_fetcher import Fetcher, FetchLimits, Posted

pytestmark = pytest.mark.both_databases

State = Delivery.State


def hook(world: World, receiver: Receiver, path: str = "/") -> Webhook:
    return receiver.hook(world.team, world.alice, path)


def make_due() -> None:
    Delivery.objects.filter(state=State.WAITING).update(due_at=timezone.now())


def test_an_event_is_delivered_and_signed(world: World, server: Server, receiver: Receiver) -> None:
    webhook, secret = subscriptions.add(world.team, world.alice, receiver.url("/hook"), EVERYTHING)
    job = world.job()
    server.script.append(wire.answer(charged="0.750000"))
    run(server)

    assert send_due() == 1

    (request,) = receiver.received
    event = Event.objects.get()
    assert request.is_signed_by(secret)
    assert not request.is_signed_by(signing.new_secret())  # the control
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    assert request.path == "/hook"
    assert (request.headers["webhook-id"], request.headers["content-type"]) == (
        str(event.pk),
        "application/json",
    )
    payload = request.payload
    assert (payload["id"], payload["type"], payload["team"]) == (str(event.pk), "job.finished", "aurora")
    assert payload["data"] | {"url": "", "result_url": ""} == {
        "job": job.pk,
        "request_id": str(job.request_id),
        "name": "photo.png",
        "batch": None,
        "state": "done",
        "reason": None,
        "test": False,
        "credits": "0.75",
        "url": "",
        "result_url": "",
    }
    assert payload["data"]["url"].endswith(f"/t/aurora/jobs/{job.pk}/")
    assert payload["data"]["result_url"].endswith(f"/api/jobs/{job.pk}/result")
    delivery = webhook.deliveries.get()
    assert (delivery.state, delivery.status, delivery.tries) == (State.DELIVERED, 200, 1)
    assert delivery.answer == "<b>thanks</b>"
    assert send_due() == 0


def test_a_failing_receiver_is_tried_again_later_and_later(world: World, receiver: Receiver) -> None:
    receiver.answers = [500]
    webhook = hook(world, receiver)
    outbox.ping(webhook)
    for wait in BACKOFF:
        before = timezone.now()
        assert send_due() == 1
        delivery = webhook.deliveries.get()
        assert (delivery.state, delivery.status) == (State.WAITING, 500)
        assert delivery.due_at
        assert wait <= delivery.due_at - before < wait + timedelta(seconds=30)
        assert send_due() == 0
        make_due()
    send_due()
    delivery = webhook.deliveries.get()
    assert (delivery.state, delivery.due_at, delivery.tries) == (State.FAILED, None, len(BACKOFF) + 1)
    assert len({request.body for request in receiver.received}) == 1


def test_a_replay_sends_the_same_event_again(world: World, receiver: Receiver) -> None:
    webhook = hook(world, receiver)
    outbox.ping(webhook)
    send_due()
    assert subscriptions.replay(webhook.deliveries.get())
    send_due()
    first, second = receiver.received
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    subscriptions.switch_off(webhook)
    assert not subscriptions.replay(webhook.deliveries.get())


def test_410_switches_the_webhook_off(world: World, receiver: Receiver) -> None:
    receiver.answers = [410]
    webhook = hook(world, receiver)
    for _ in range(3):
        outbox.ping(webhook)
    send_due()
    webhook.refresh_from_db()
    assert webhook.disabled_at
    assert webhook.disabled_why == webhooks.IS_GONE
    assert set(webhook.deliveries.values_list("state", flat=True)) == {State.FAILED}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure(world: World, receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    webhook = hook(world, receiver)
    outbox.ping(webhook)
    send_due()
    assert [request.path for request in receiver.received] == ["/"]
    assert webhook.deliveries.get().problem == webhooks.REDIRECTED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "2130706433"])
def test_a_private_address_is_never_reached(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    fetcher = Fetcher(ports=frozenset({receiver.port}))
    monkeypatch.setattr(webhooks, "fetcher", lambda: fetcher)
    url = f"http://{host}:{receiver.port}/"
    webhook, _ = subscriptions.add(world.team, world.alice, url, EVERYTHING)
    outbox.ping(webhook)
    send_due()
    assert receiver.received == []
    delivery = webhook.deliveries.get()
    assert (delivery.state, delivery.status) == (State.WAITING, None)
    assert "can't be reached" in delivery.problem


def test_a_slow_receiver_holds_nobody_up(committed_world: World, receiver: Receiver) -> None:
    """It answers only when all that the others get has come."""
    slow, quick = (hook(committed_world, receiver, path) for path in ("/slow", "/quick"))
    for _ in range(4):  # before the quick one's
        outbox.ping(slow)
    for _ in range(8):
        outbox.ping(quick)
    all_quick_came = threading.Event()
    slow_before: list[int] = []

    def before_answer(request: Received) -> None:
        paths = [each.path for each in receiver.received]
        if request.path == "/slow":
            assert all_quick_came.wait(4)
        elif paths.count("/quick") == 8:
            slow_before.append(paths.count("/slow"))
            all_quick_came.set()

    receiver.before_answer = before_answer
    send_due()
    assert slow_before == [webhooks.AT_ONCE_EACH]
    assert not Delivery.objects.exclude(state=State.DELIVERED).exists()


def test_an_answer_after_the_time_out_is_a_try_that_failed(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.slow["/"] = 0.6
    fetcher = webhooks.fetcher()
    impatient = Fetcher(FetchLimits(seconds=0.2), networks=fetcher.networks, ports=frozenset({receiver.port}))
    monkeypatch.setattr(webhooks, "fetcher", lambda: impatient)
    webhook = hook(world, receiver)
    outbox.ping(webhook)
    send_due()
    delivery = webhook.deliveries.get()
    assert (delivery.state, delivery.tries) == (State.WAITING, 1)
    assert "longer than 0.2 seconds" in delivery.problem


def test_two_senders_send_a_delivery_once(committed_world: World, receiver: Receiver) -> None:
    webhook = hook(committed_world, receiver)
    for _ in range(30):
        outbox.ping(webhook)
    senders = [threading.Thread(target=_send) for _ in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(receiver.received) == 30
    assert not webhook.deliveries.exclude(state=State.DELIVERED).exists()


def _send() -> None:
    send_due()
    connection.close()


def test_the_delivery_of_a_sender_that_died_goes_again_after_its_lease(
    world: World, receiver: Receiver
) -> None:
    webhook = hook(world, receiver)
    outbox.ping(webhook)
    (taken,) = webhooks._claim([])  # and dies
    assert send_due() == 0
    make_due()
    assert send_due() == 1
    webhooks._settle(taken, webhooks.Result(500))  # it wasn't dead after all, and changes nothing
    assert webhook.deliveries.get().state == State.DELIVERED


def test_a_secret_that_cannot_be_read_is_a_failed_try(
    world: World, receiver: Receiver, settings: Settings
) -> None:
    webhook = hook(world, receiver)
    outbox.ping(webhook)
    settings.SECRET_KEY = "another"
    send_due()
    delivery = webhook.deliveries.get()
    assert (delivery.problem, delivery.state) == (webhooks.NO_SECRET, State.WAITING)
    assert receiver.received == []


def test_an_event_of_a_kind_that_is_unknown_is_a_failed_try_and_the_others_go_on(
    world: World, receiver: Receiver
) -> None:
    """A later release wrote it, before a return to this one."""
    webhook = hook(world, receiver)
    event = Event.objects.create(team=world.team, kind="job.styled", subject="x")
    unknown = event.deliveries.create(webhook=webhook)
    outbox.ping(webhook)
    send_due()
    unknown.refresh_from_db()
    assert (unknown.state, unknown.tries, unknown.problem) == (State.WAITING, 1, webhooks.OUR_FAULT)
    assert unknown.due_at
    assert unknown.due_at - timezone.now() <= BACKOFF[0]
    assert [request.payload["type"] for request in receiver.received] == ["ping"]
    assert Delivery.objects.get(state=State.DELIVERED).event.kind == "ping"


def test_a_request_that_fails_in_an_unexpected_way_is_a_failed_try(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, other = hook(world, receiver, "/odd"), hook(world, receiver, "/other")
    post = Fetcher.post

    def fail_for_one(self: Fetcher, url: str, *more: Any) -> Posted:
        if url == odd.url:
            raise ValueError(url)
        return post(self, url, *more)

    monkeypatch.setattr(Fetcher, "post", fail_for_one)
    for webhook in (odd, other):
        outbox.ping(webhook)
    send_due()
    assert (odd.deliveries.get().tries, odd.deliveries.get().problem) == (1, webhooks.OUR_FAULT)
    assert other.deliveries.get().state == State.DELIVERED


def test_a_fault_of_ours_switches_no_webhook_off(world: World, receiver: Receiver) -> None:
    delivery = given_up(hook(world, receiver), days=3.5)
    Delivery.objects.update(problem=webhooks.OUR_FAULT)
    assert switched_off() == []
    Delivery.objects.update(problem="")
    assert switched_off() == [delivery.webhook]


def test_after_a_rotation_both_secrets_sign_for_a_day(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, old = subscriptions.add(world.team, world.alice, receiver.url(), EVERYTHING)
    assert old not in Webhook.objects.get().secret
    new = subscriptions.rotate(webhook)
    now = int(time.time())
    for moment in (now, now + signing.OLD_ONE_LASTS_SECONDS + 1):
        monkeypatch.setattr(signing, "_now", partial(int, moment))
        outbox.ping(webhook)
        send_due()
    first, second = receiver.received
    assert [first.is_signed_by(new), first.is_signed_by(old)] == [True, True]
    assert [second.is_signed_by(new), second.is_signed_by(old)] == [True, False]


def given_up(webhook: Webhook, **ago: float) -> Delivery:
    """Make a delivery that failed in all its tries, which began that long ago."""
    outbox.ping(webhook)
    delivery = Delivery.objects.latest("pk")
    at = timezone.now() - timedelta(**ago)
    Event.objects.filter(pk=delivery.event_id).update(at=at)
    delivery.state, delivery.due_at, delivery.tries = State.FAILED, None, len(BACKOFF) + 1
    delivery.sent_at, delivery.status = at + sum(BACKOFF, timedelta()), 500
    delivery.save()
    return delivery


def delivered(webhook: Webhook, **ago: float) -> None:
    outbox.ping(webhook)
    send_due()
    delivery = Delivery.objects.filter(webhook=webhook, state=State.DELIVERED).latest("pk")
    at = timezone.now() - timedelta(**ago)
    Event.objects.filter(pk=delivery.event_id).update(at=at)
    Delivery.objects.filter(pk=delivery.pk).update(sent_at=at)


def switched_off() -> list[Webhook]:
    webhooks.switch_off_failing()
    return list(Webhook.objects.filter(disabled_at__isnull=False))


def test_a_webhook_that_failed_for_three_days_is_switched_off(world: World, receiver: Receiver) -> None:
    failing, healthy, new, idle = (hook(world, receiver, f"/{name}") for name in "abcd")
    for webhook in (failing, healthy):
        given_up(webhook, days=3.5)
    given_up(new, days=2.5)
    delivered(healthy, days=2)
    assert switched_off() == [failing]
    assert Webhook.objects.get(disabled_at__isnull=False).disabled_why == webhooks.FAILED_FOR_LONG
    assert idle.deliveries.count() == 0


def test_one_try_that_fails_after_quiet_days_switches_no_webhook_off(
    world: World, receiver: Receiver
) -> None:
    webhook = hook(world, receiver)
    given_up(webhook, days=20)
    delivered(webhook, days=4)
    receiver.answers = [503]
    outbox.ping(webhook)
    send_due()
    assert switched_off() == []
    assert subscriptions.replay(webhook.deliveries.get(state=State.FAILED))  # an old event, tried anew
    send_due()
    assert switched_off() == []


def test_a_webhook_that_is_switched_on_again_has_three_days(world: World, receiver: Receiver) -> None:
    webhook = hook(world, receiver)
    given_up(webhook, days=3.5)
    assert switched_off() == [webhook]
    subscriptions.switch_on(webhook)
    assert switched_off() == []
    Webhook.objects.update(enabled_at=timezone.now() - timedelta(days=3.6))
    subscriptions.switch_on(webhook)  # it is on, so this gives it no more time
    assert switched_off() == [webhook]


def test_old_events_are_purged(world: World, receiver: Receiver) -> None:
    webhook = hook(world, receiver)
    for _ in range(3):
        outbox.ping(webhook)
    old = Event.objects.first()
    assert old
    Event.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=31))
    assert old_events.purge() == 1
    assert (Event.objects.count(), Delivery.objects.count()) == (2, 2)


@pytest.mark.parametrize(
    ("kind", "data", "more"),
    [
        ("balance.low", {"used_percent": 80, "left": 20 * CREDIT, "full": 100 * CREDIT}, {"left": "20"}),
        ("ping", {}, {}),
    ],
)
def test_a_payload_is_completed_once(
    world: World, kind: str, data: dict[str, Any], more: dict[str, Any]
) -> None:
    event = Event.objects.create(team=world.team, kind=kind, subject="x", data=data)
    body = payloads.body(event)
    event = Event.objects.select_related("team").get()
    assert more.items() <= event.data.items()
    assert payloads.body(event) == body
