"""Show in Django's admin, read-only, what other modules write: roll-ups, periods, events, reports."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db.models import Q

from accounts.ledger.money import to_credits
from accounts.long_tables import ByTeam, LongTableAdmin, Window, never
from jobs.models import (
    Alert,
    BadResult,
    BalancePeriod,
    Delivery,
    Event,
    UpstreamAccount,
    UsageDay,
    Webhook,
)


class ReadOnlyAdmin(LongTableAdmin):
    """Show a table, the newest rows first."""

    has_add_permission = has_change_permission = has_delete_permission = never
    list_filter: ClassVar[Any] = (Window,)
    ordering: ClassVar[Any] = ("-pk",)


@admin.register(UpstreamAccount)
class UpstreamAccountAdmin(ReadOnlyAdmin):
    list_display = ("upstream", "api_id", "first_used_at")


@admin.register(BalancePeriod)
class BalancePeriodAdmin(ReadOnlyAdmin):
    list_display = ("id", "account", "opening", "closing", "calls", "credits", "in_doubt", "is_final")
    list_filter = (Window, "account", "is_final")
    list_select_related = ("account", "opening__account", "closing__account")

    @admin.display(description="charged", ordering="charged")
    def credits(self, period: BalancePeriod) -> str:
        return str(to_credits(period.charged))


@admin.register(UsageDay)
class UsageDayAdmin(ReadOnlyAdmin):
    list_display = ("day", "team", "spender", "api_key", "origin", "calls", "credits", "duplicates")
    list_filter = (Window, ByTeam, "origin")
    list_select_related = ("team", "spender", "api_key")

    @admin.display(description="booked", ordering="booked")
    def credits(self, usage: UsageDay) -> str:
        return str(to_credits(usage.booked))


@admin.register(BadResult)
class BadResultAdmin(ReadOnlyAdmin):
    list_display = ("reported_at", "job", "reported_by", "note", "answer", "answered_by")
    list_filter = (Window, "answer")
    list_select_related = ("job", "reported_by", "answered_by")


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Show where teams are told of events; the secrets stay out."""

    exclude = ("secret",)
    list_display = ("url", "team", "events", "created_by", "disabled_at")
    list_filter = (Window, ByTeam)
    list_select_related = ("team", "created_by")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """List the newest events, which have no number to page by; an Id finds an older one."""

    list_display = ("id", "at", "team", "kind", "subject")
    list_filter = ()
    list_select_related = ("team",)
    ordering = ("-at",)
    sortable_by = ()
    search_fields = ("id",)

    def exactly(self, text: str) -> Q | None:
        try:
            return Q(pk=UUID(text))
        except ValueError:
            return Q(pk=None) if text else None


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("id", "webhook", "event", "state", "tries", "sent_at", "status", "problem")
    list_filter = (Window, "state")
    list_select_related = ("webhook", "event")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("at", "team", "subject", "level", "period", "over_at")
    list_filter = (Window, ByTeam)
    list_select_related = ("team",)
