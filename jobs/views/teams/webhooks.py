"""A team's webhooks: added, tested and switched off, with a log of what they were sent."""

from dataclasses import dataclass

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Membership, Role
from accounts.teams.permissions import enter
from jobs.events import outbox, payloads, subscriptions
from jobs.events.forms import WebhookForm, form_of
from jobs.events.subscriptions import MAX_WEBHOOKS, TooManyWebhooksError
from jobs.models import Delivery, EventKind, Webhook
from jobs.search import pagination

PAGE = 50


@dataclass(frozen=True)
class Row:
    """A delivery as the log shows it."""

    delivery: Delivery
    kind: str
    payload: str


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def all_webhooks(request: HttpRequest, team: str) -> HttpResponse:
    """List the webhooks, and add one.

    The response to the form shows the secret; for a redirect it would have to be stored in the clear.
    """
    member = enter(request, team, Role.MANAGER)
    form = WebhookForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            webhook, secret = subscriptions.add(member.team, member.user, **form.cleaned_data)
        except TooManyWebhooksError:
            form.add_error(None, _("A team can have %(count)s webhooks.") % {"count": MAX_WEBHOOKS})
        else:
            return _secret(request, webhook, secret)
    rows = member.team.webhooks.order_by("pk")
    context = {"team": member.team, "form": form, "rows": [(row, _kinds(row.events)) for row in rows]}
    return render(request, "jobs/webhooks.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def one_webhook(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Show what a webhook was sent, and change its address and events."""
    member, webhook = _webhook(request, team, pk)
    form = form_of(webhook, request.POST if request.method == "POST" else None)
    if form.is_valid():
        subscriptions.change(webhook, **form.cleaned_data)
        messages.success(request, _("The webhook is saved."))
        return redirect("webhook", team=team, pk=pk)
    before = request.GET.get("before", "")
    sent: QuerySet[Delivery] = webhook.deliveries.select_related("event__team")
    page = pagination.page(sent, pagination.key_of(before), PAGE)
    context = {"team": member.team, "webhook": webhook, "form": form, "kinds": _kinds(webhook.events)}
    return render(
        request,
        "jobs/webhook.html",
        context | {"rows": [_row(delivery) for delivery in page.rows], "older": page.older, "before": before},
    )


@never_cache
@require_POST
def rotate(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Replace the secret, and show the new one once."""
    _member, webhook = _webhook(request, team, pk)
    return _secret(request, webhook, subscriptions.rotate(webhook), rotated=True)


@require_POST
def ping(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    _member, webhook = _webhook(request, team, pk)
    if webhook.disabled_at:
        messages.error(request, _("The webhook is off, so nothing was sent. Switch it on first."))
    else:
        outbox.ping(webhook)
        messages.success(request, _("A test event is on its way. The log shows what becomes of it."))
    return redirect("webhook", team=team, pk=pk)


@require_POST
def switch(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Switch the webhook on, which a test event tries out, or off."""
    _member, webhook = _webhook(request, team, pk)
    if "on" in request.POST:
        subscriptions.switch_on(webhook)
        outbox.ping(webhook)
        messages.success(request, _("The webhook is on. A test event is on its way."))
    else:
        subscriptions.switch_off(webhook)
        messages.success(request, _("The webhook is off. What happens meanwhile isn't sent, not even later."))
    return redirect("webhook", team=team, pk=pk)


@require_POST
def delete(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    _member, webhook = _webhook(request, team, pk)
    subscriptions.remove(webhook)
    messages.success(request, _("The webhook and its log are deleted."))
    return redirect("webhooks", team=team)


@require_POST
def replay(request: HttpRequest, team: str, pk: int, delivery: int) -> HttpResponse:
    """Send an event once more."""
    _member, webhook = _webhook(request, team, pk)
    if subscriptions.replay(get_object_or_404(webhook.deliveries, pk=delivery)):
        messages.success(request, _("The event is on its way again, with the same id."))
    else:
        messages.error(request, _("The webhook is off, so nothing was sent. Switch it on first."))
    return redirect("webhook", team=team, pk=pk)


def _webhook(request: HttpRequest, team: str, pk: int) -> tuple[Membership, Webhook]:
    member = enter(request, team, Role.MANAGER)
    return member, get_object_or_404(Webhook.objects.select_related("team"), team=member.team, pk=pk)


def _secret(request: HttpRequest, webhook: Webhook, secret: str, *, rotated: bool = False) -> HttpResponse:
    context = {"team": webhook.team, "webhook": webhook, "secret": secret, "rotated": rotated}
    return render(request, "jobs/webhook_secret.html", context)


def _row(delivery: Delivery) -> Row:
    payload = payloads.shown(delivery.event) if payloads.ADDRESS in delivery.event.data else ""
    return Row(delivery, _kind(delivery.event.kind), payload)


def _kinds(events: list[str]) -> list[str]:
    return [_kind(event) for event in events]


def _kind(event: str) -> str:
    return str(EventKind(event).label) if event in EventKind.values else _("a test")
