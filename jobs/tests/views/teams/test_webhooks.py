"""A team's webhooks on their pages: for managers, the secret once, and a log that can be replayed."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.auth import encryption
from conftest import World
from jobs.events import outbox, signing, subscriptions
from jobs.events.subscriptions import MAX_WEBHOOKS
from jobs.events.webhooks import send_due
from jobs.models import Delivery, EventKind, Webhook
from jobs.tests.events.receiver import EVERYTHING, receiving

FORM = {"url": "https://example.org/hook", "events": ["job.finished", "review.needed"]}


def page(world: World, name: str, *args: Any) -> str:
    return reverse(name, args=[world.team.slug, *args])


def told(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.fixture
def manager(world: World, client: Client) -> Client:
    client.force_login(world.alice)
    return client


def added(world: World, url: str = "https://example.org/hook") -> Webhook:
    return subscriptions.add(world.team, world.alice, url, EVERYTHING)[0]


def test_a_manager_adds_one_and_sees_its_secret_once(world: World, manager: Client) -> None:
    response = manager.post(page(world, "webhooks"), FORM)
    text = response.content.decode()
    webhook = Webhook.objects.get()
    secret = encryption.decrypt(webhook.secret)
    assert secret.startswith("whsec_")
    assert text.count(secret) == 1
    assert "no-store" in response.headers["Cache-Control"]
    assert (webhook.url, webhook.events, webhook.created_by) == (FORM["url"], FORM["events"], world.alice)
    for shown in (page(world, "webhooks"), page(world, "webhook", webhook.pk)):
        assert secret not in manager.get(shown).content.decode()
    assert "example.org/hook" in manager.get(page(world, "webhooks")).content.decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://example.org/"},
        {"url": "http://user:secret@example.org/"},
        {"url": "https://example.org:22/"},
        {"url": "no address"},
        {"url": ""},
        {"url": f"https://example.org/{'a' * 2000}"},
        {"events": []},
        {"events": ["job.unknown"]},
        {"events": ["ping"]},
    ],
)
def test_what_cannot_be_one_is_refused(world: World, manager: Client, changes: dict[str, Any]) -> None:
    response = manager.post(page(world, "webhooks"), FORM | changes)
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()
    assert not Webhook.objects.exists()


def test_a_team_has_only_so_many(world: World, manager: Client) -> None:
    for _ in range(MAX_WEBHOOKS):
        added(world)
    response = manager.post(page(world, "webhooks"), FORM)
    assert 'role="alert"' in response.content.decode()
    assert Webhook.objects.count() == MAX_WEBHOOKS


def test_a_test_event_is_sent_and_logged_and_replayed(
    world: World, manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(monkeypatch) as receiver:
        webhook = receiver.hook(world.team, world.alice)
        manager.post(page(world, "ping_webhook", webhook.pk))
        send_due()
        text = manager.get(page(world, "webhook", webhook.pk)).content.decode()
        assert "HTTP 200" in text
        assert "&lt;b&gt;thanks&lt;/b&gt;" in text
        delivery = webhook.deliveries.get()
        manager.post(page(world, "replay_delivery", webhook.pk, delivery.pk))
        send_due()
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len(receiver.received) == 2


def test_one_is_changed_switched_off_and_on_and_deleted(world: World, manager: Client) -> None:
    webhook = added(world)
    outbox.ping(webhook)
    manager.post(page(world, "webhook", webhook.pk), FORM | {"url": "https://example.org/other"})
    manager.post(page(world, "switch_webhook", webhook.pk), {"off": ""})
    webhook.refresh_from_db()
    assert (webhook.url, bool(webhook.disabled_at)) == ("https://example.org/other", True)
    assert webhook.deliveries.get().state == Delivery.State.FAILED
    assert "off" in told(manager.post(page(world, "ping_webhook", webhook.pk)))
    assert "off" in told(
        manager.post(page(world, "replay_delivery", webhook.pk, webhook.deliveries.get().pk))
    )
    manager.post(page(world, "switch_webhook", webhook.pk), {"on": ""})
    assert webhook.deliveries.filter(state=Delivery.State.WAITING).count() == 1
    manager.post(page(world, "delete_webhook", webhook.pk))
    assert not Webhook.objects.exists()


def test_a_secret_is_replaced(world: World, manager: Client) -> None:
    webhook = added(world)
    text = manager.post(page(world, "rotate_webhook", webhook.pk)).content.decode()
    webhook.refresh_from_db()
    new, _old, _until = encryption.decrypt(webhook.secret).split()
    assert new in text


def test_the_log_is_paged(world: World, manager: Client) -> None:
    webhook = added(world)
    for _ in range(51):
        outbox.ping(webhook)
    text = manager.get(page(world, "webhook", webhook.pk)).content.decode()
    oldest = webhook.deliveries.order_by("pk")[0]
    assert f'id="delivery-{oldest.pk}"' not in text
    older = manager.get(page(world, "webhook", webhook.pk), {"before": oldest.pk + 1}).content.decode()
    assert older.count('id="delivery-') == 1


def test_members_and_other_teams_are_kept_out(world: World, client: Client) -> None:
    webhook = added(world)
    for user, status in ((world.bob, 403), (world.charlie, 404)):
        client.force_login(user)
        assert client.get(page(world, "webhook", webhook.pk)).status_code == status
    theirs = world.charlie.memberships.get().team
    assert client.get(reverse("webhook", args=[theirs.slug, webhook.pk])).status_code == 404


def test_the_manual_verifies_what_is_sent(
    world: World, manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe of the API page, as it stands there."""
    text = manager.get(page(world, "quick_start")).content.decode()
    begin = text.index("import base64, hashlib, hmac, time")
    recipe = text[begin : text.index("</code>", begin)]
    names: dict[str, Any] = {}
    exec(recipe, names)
    with receiving(monkeypatch) as receiver:
        webhook, secret = subscriptions.add(world.team, world.alice, receiver.url(), [EventKind.JOB_FINISHED])
        outbox.ping(webhook)
        send_due()
    (request,) = receiver.received
    assert names["verify"](secret, request.headers, request.body)
    assert not names["verify"](secret, request.headers, request.body + b" ")
    assert not names["verify"](signing.new_secret(), request.headers, request.body)
