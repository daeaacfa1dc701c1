"""Add, change and remove a team's webhooks, and send events again."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import Team, User
from jobs.events import signing
from jobs.models import Delivery, Webhook

MAX_WEBHOOKS = 10
"""Of a team. Each ending of a job writes a row for each."""

REMOVED_AT_ONCE = 5_000
SWITCHED_OFF = gettext_noop("The webhook was switched off.")
MAX_WHY = 400

State = Delivery.State


class TooManyWebhooksError(Exception):
    """The team has as many webhooks as it may."""


def add(team: Team, user: User, url: str, events: Sequence[str]) -> tuple[Webhook, str]:
    """Return a new webhook, and its secret, which nobody is shown again; raise TooManyWebhooksError."""
    secret = signing.new_secret()
    with transaction.atomic():
        # Locked, so that two people at once don't add one too many.
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        if team.webhooks.count() >= MAX_WEBHOOKS:
            raise TooManyWebhooksError(team.slug)
        webhook = Webhook.objects.create(
            team=team, created_by=user, url=url, events=list(events), secret=signing.stored(secret)
        )
    return webhook, secret


def change(webhook: Webhook, url: str, events: Sequence[str]) -> None:
    """Change the address and the kinds of events. What waits goes to the new address."""
    Webhook.objects.filter(pk=webhook.pk).update(url=url, events=list(events))


def rotate(webhook: Webhook) -> str:
    """Give the webhook a new secret and return it; the old one signs too for another day."""
    secret = signing.new_secret()
    with transaction.atomic():
        row = Webhook.objects.select_for_update(no_key=True).get(pk=webhook.pk)
        row.secret = signing.rotated(row.secret, secret)
        row.save(update_fields=["secret"])
    return secret


def switch_on(webhook: Webhook) -> None:
    """Send events to the webhook again. What failed before is held against it no more."""
    off = Webhook.objects.filter(pk=webhook.pk, disabled_at__isnull=False)
    off.update(disabled_at=None, disabled_why="", enabled_at=timezone.now())


def switch_off(webhook: Webhook, why: str = "") -> bool:
    """Send nothing to the webhook any more; False if it is off already. What waits can be replayed."""
    on = Webhook.objects.filter(pk=webhook.pk, disabled_at=None)
    if not on.update(disabled_at=timezone.now(), disabled_why=why[:MAX_WHY]):
        return False
    give_up_waiting(webhook.deliveries.all())
    return True


def give_up_waiting(deliveries: QuerySet[Delivery]) -> None:
    """End the deliveries that still wait for a webhook that is off."""
    waiting = deliveries.filter(state=State.WAITING)
    waiting.update(state=State.FAILED, due_at=None, problem=SWITCHED_OFF)


def remove(webhook: Webhook) -> None:
    """Delete the webhook with its log."""
    switch_off(webhook)  # first, so that few transactions that end a job have it in hand
    rows = Delivery.objects.filter(webhook=webhook.pk)
    while keys := list(rows.values_list("pk", flat=True)[:REMOVED_AT_ONCE]):
        Delivery.objects.filter(pk__in=keys).delete()
    with transaction.atomic():
        # Waits for those that have, whose deliveries are there then.
        Webhook.objects.select_for_update().filter(pk=webhook.pk).first()
        rows.delete()
        Webhook.objects.filter(pk=webhook.pk).delete()


def replay(delivery: Delivery) -> bool:
    """Send an event once more, with all its tries; False if its webhook is off.

    Its id stays the same, so that a receiver knows it again.
    """
    row = Delivery.objects.filter(pk=delivery.pk, webhook__disabled_at=None)
    return bool(row.update(state=State.WAITING, due_at=timezone.now(), tries=0))
