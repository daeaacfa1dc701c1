"""Show jobs, attempts and the upstream account in Django's admin, and let staff decide calls in doubt.

Only ``jobs.queue.claims`` and ``jobs.calls.attempts`` change states.
"""

from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts.fields import CreditsField
from accounts.ledger.money import to_credits
from accounts.long_tables import LongTableAdmin, Window, never
from accounts.models import User
from jobs.admin.review_action import AcknowledgeForm, DecideForm, DecisionPage
from jobs.audit import review
from jobs.audit.reconcile import held, verdict
from jobs.models import Attempt, BalanceSnapshot, Job, Price, Purchase, Verification
from jobs.models.attempt import AttemptQuerySet

MAX_KEY_LENGTH = 19


def in_credits(microcredits: int | None) -> str:
    return "–" if microcredits is None else str(to_credits(microcredits))


def is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < MAX_KEY_LENGTH


class ReadOnlyAdmin(LongTableAdmin):
    has_add_permission = has_change_permission = has_delete_permission = never


class AttemptInline(admin.TabularInline):
    model = Attempt
    has_add_permission = has_change_permission = has_delete_permission = never
    fields = (
        *("number", "state", "doubt", "sent_at", "answered_at", "status", "charged_header", "error_message"),
    )
    show_change_link = True


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("id", "team", "name", "state", "reason", "credits", "who", "created_at", "worker")
    list_filter = (Window, "state", "reason", "origin", "test", "team")
    list_select_related = ("team", "created_by", "api_key")
    search_fields = ("name", "request_id", "source_sha256")
    inlines = (AttemptInline,)

    def exactly(self, text: str) -> Q | None:
        return Q(pk=int(text)) if is_key(text) else None

    @admin.display(description="estimated", ordering="estimated_microcredits")
    def credits(self, job: Job) -> str:
        return in_credits(job.estimated_microcredits)


class ForReview(admin.SimpleListFilter):
    title = "review"
    parameter_name = "review"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [("yes", "For review")]

    def queryset(self, _request: HttpRequest, attempts: QuerySet[Attempt]) -> QuerySet[Attempt]:
        return cast("AttemptQuerySet", attempts).for_review() if self.value() else attempts


class Status(admin.SimpleListFilter):
    """Filter by class of status. The choices are fixed: Django would read every attempt to find them."""

    title = "status"
    parameter_name = "status"
    ranges: ClassVar = {"2xx": (200, 299), "4xx": (400, 499), "5xx": (500, 599)}

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [*((name, name) for name in self.ranges), ("none", "No response")]

    def queryset(self, _request: HttpRequest, attempts: QuerySet[Attempt]) -> QuerySet[Attempt]:
        if self.value() == "none":
            return attempts.filter(status=None)
        chosen = self.ranges.get(self.value() or "")
        return attempts.filter(status__range=chosen) if chosen else attempts


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = (
        *("job", "number", "state", "sent_at", "status", "held", "header", "charged", "verdict", "why"),
    )
    list_filter = (ForReview, Window, "state", "doubt", Status)
    list_select_related = ("job", "hold")
    search_fields = ("job__name", "job__id")
    actions = ("decide", "acknowledge")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        return cast("AttemptQuerySet", super().get_queryset(request)).with_verdict()

    def exactly(self, text: str) -> Q | None:
        return Q(job=int(text)) if is_key(text) else None

    def names_rows(self, request: HttpRequest) -> bool:
        # What waits for a review is listed completely, however old it is.
        return ForReview.parameter_name in request.GET or super().names_rows(request)

    @admin.display(description="held", ordering="hold__amount_microcredits")
    def held(self, attempt: Attempt) -> str:
        return in_credits(held(attempt))

    @admin.display(description="X-Credits-Charged", ordering="charged_header", empty_value="–")
    def header(self, attempt: Attempt) -> str | None:
        return attempt.charged_header

    @admin.display(description="charged")
    def charged(self, attempt: Attempt) -> str:
        amount = in_credits(attempt.known_microcredits)
        return f"{amount} (rounded)" if attempt.is_rounded else amount

    @admin.display(description="doubt", ordering="doubt")
    def why(self, attempt: Attempt) -> str:
        """Return the reason for a doubt, and the error of a failed booking."""
        reasons = (attempt.get_doubt_display(), attempt.booking_error)
        return ": ".join(str(text) for text in reasons if text)

    @admin.display(description="verdict")
    def verdict(self, attempt: Attempt) -> str:
        return str(verdict(attempt).label)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_attempt")

    @admin.action(description="Decide what calls in doubt were charged", permissions=["decide"])
    def decide(self, request: HttpRequest, chosen: QuerySet[Attempt]) -> HttpResponse | None:
        def book(attempt: Attempt, form: DecideForm) -> None:
            review.resolve(attempt, form.charged, cast("User", request.user), form.cleaned_data["reason"])

        in_doubt = chosen.filter(state=Attempt.State.IN_DOUBT)
        return DecisionPage(self, request, "decide", DecideForm, book).show(in_doubt)

    @admin.action(description="Acknowledge overages", permissions=["decide"])
    def acknowledge(self, request: HttpRequest, chosen: QuerySet[Attempt]) -> HttpResponse | None:
        def note(attempt: Attempt, form: AcknowledgeForm) -> None:
            review.acknowledge(attempt, cast("User", request.user), form.cleaned_data["reason"])

        waiting = cast("AttemptQuerySet", chosen).for_review().exclude(state=Attempt.State.IN_DOUBT)
        return DecisionPage(self, request, "acknowledge", AcknowledgeForm, note).show(waiting)


class PurchaseForm(forms.ModelForm):
    credits = CreditsField(help_text="Negative for credits that left the account other than by a call.")

    class Meta:
        model = Purchase
        fields = ("bought_at", "credits", "note")

    def clean_credits(self) -> int:
        amount: int = self.cleaned_data["credits"]
        if not amount:
            raise forms.ValidationError("Enter an amount other than 0.")
        self.instance.microcredits = amount
        return amount


@admin.register(Purchase)
class PurchaseAdmin(admin.ModelAdmin):
    """Purchases are entered once; another entry corrects a mistake."""

    has_change_permission = has_delete_permission = never
    form = PurchaseForm
    list_display = ("bought_at", "credits", "note", "upstream", "entered_by", "entered_at")
    list_filter = ("upstream",)
    list_select_related = ("entered_by",)

    def get_fields(self, _request: HttpRequest, purchase: Purchase | None = None) -> tuple[str, ...]:
        return self.list_display if purchase else PurchaseForm.Meta.fields

    @admin.display(description="credits", ordering="microcredits")
    def credits(self, purchase: Purchase) -> str:
        return in_credits(purchase.microcredits)

    def save_model(self, request: HttpRequest, purchase: Purchase, form: Any, change: bool) -> None:  # noqa: FBT001
        purchase.upstream = settings.PIXIAN_API_URL
        purchase.entered_by = cast("User", request.user)
        super().save_model(request, purchase, form, change)


@admin.register(BalanceSnapshot)
class BalanceSnapshotAdmin(ReadOnlyAdmin):
    list_display = ("came_at", "credits", "upstream")
    list_filter = ("upstream",)
    ordering = ("-came_at",)

    @admin.display(description="credits", ordering="microcredits")
    def credits(self, snapshot: BalanceSnapshot) -> str:
        return in_credits(snapshot.microcredits)


@admin.register(Price)
class PriceAdmin(ReadOnlyAdmin):
    list_display = ("upstream", "api_id", "band", "pixels", "credits", "since")
    ordering = ("upstream", "api_id", "band")
    actions = ("forget",)

    @admin.display(description="pixels below")
    def pixels(self, price: Price) -> str:
        return f"{2**price.band:,}"

    @admin.display(description="credits per megapixel", ordering="microcredits_per_megapixel")
    def credits(self, price: Price) -> str:
        return in_credits(price.microcredits_per_megapixel)

    def has_forget_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_price")

    @admin.action(description="Reset to what the next charges teach", permissions=["forget"])
    @transaction.atomic
    def forget(self, _request: HttpRequest, chosen: QuerySet[Price]) -> None:
        # The time is taken after the rows are locked, so that no booking falls in between.
        locked = [price.pk for price in chosen.select_for_update()]
        nothing = {"microcredits_per_megapixel": 0, "lower_charges": 0, "highest_lower": 0}
        Price.objects.filter(pk__in=locked).update(since=timezone.now(), **nothing)


@admin.register(Verification)
class VerificationAdmin(ReadOnlyAdmin):
    list_display = ("at", "count")

    @admin.display(description="findings")
    def count(self, verification: Verification) -> int:
        return len(verification.findings)
