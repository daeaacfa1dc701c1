"""Show jobs, attempts and the upstream account in Django's admin; calls are decided on the review page.

Only ``jobs.queue.claims`` and ``jobs.calls.attempts`` change states.
"""

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.fields import CreditsField, SplitMomentField
from accounts.ledger.money import to_credits
from accounts.long_tables import ByTeam, Window, is_key, never
from accounts.models import User
from jobs.admin.records import ReadOnlyAdmin
from jobs.audit import purchases
from jobs.audit.reconcile import held, verdict
from jobs.calls import accounts
from jobs.models import (
    Attempt,
    BalanceSnapshot,
    Job,
    Price,
    Purchase,
    UpstreamAccount,
    Verification,
)
from jobs.models.attempt import AttemptQuerySet
from jobs.models.verdicts import DOUBTS, Verdict

FOR_REVIEW = (*DOUBTS, Verdict.MISMATCH, Verdict.OVERAGE)


def in_credits(microcredits: int | None) -> str:
    return "–" if microcredits is None else str(to_credits(microcredits))


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
    list_filter = (Window, ByTeam, "state", "reason", "origin", "test")
    list_select_related = ("team", "created_by", "api_key")
    with_team = frozenset[str]()
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


class AttemptList(ChangeList):
    """Compute verdicts for the rows of the page alone; their joins would slow down the count and searches."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        keys = list(self.result_list.values_list("pk", flat=True))
        related = Attempt.objects.with_verdict().select_related("job__team", "hold")
        found = related.in_bulk(keys)
        self.result_list: Any = [found[key] for key in keys if key in found]


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = (
        *("job", "number", "state", "sent_at", "status", "held", "header", "charged", "verdict", "why"),
        "page",
    )
    list_filter = (ForReview, Window, "state", "doubt", Status)
    readonly_fields = ("page",)
    search_fields = ("job__name", "job__id")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return AttemptList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Attempt | None:
        attempt: Attempt | None = super().get_object(request, object_id, from_field)
        return attempt and Attempt.objects.with_verdict().get(pk=attempt.pk)

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

    @admin.display(description="page")
    def page(self, attempt: Attempt) -> str:
        """Lead to the team's review for what a person has to look at, and to the picture for the rest."""
        team = attempt.job.team.slug
        if verdict(attempt) in FOR_REVIEW:
            address = reverse("review", args=[team])
            return format_html('<a href="{}?case=attempt-{}">review</a>', address, attempt.pk)
        return format_html('<a href="{}">picture</a>', reverse("job", args=[team, attempt.job_id]))


class PurchaseForm(forms.ModelForm):
    bought_at = SplitMomentField(widget=AdminSplitDateTime)
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
    list_display = ("bought_at", "credits", "note", "account", "entered_by", "entered_at")
    list_filter = ("account",)
    list_select_related = ("account", "entered_by")

    def get_fields(self, _request: HttpRequest, purchase: Purchase | None = None) -> tuple[str, ...]:
        return self.list_display if purchase else PurchaseForm.Meta.fields

    @admin.display(description="credits", ordering="microcredits")
    def credits(self, purchase: Purchase) -> str:
        return in_credits(purchase.microcredits)

    def save_model(self, request: HttpRequest, purchase: Purchase, _form: Any, _change: bool) -> None:  # noqa: FBT001
        account = UpstreamAccount.objects.get(pk=accounts.current_id())
        user = cast("User", request.user)
        purchase.pk = purchases.enter(
            account, purchase.bought_at, purchase.microcredits, purchase.note, user, purchase.token
        ).pk


@admin.register(BalanceSnapshot)
class BalanceSnapshotAdmin(ReadOnlyAdmin):
    list_display = ("came_at", "credits", "account")
    list_filter = (Window, "account")
    list_select_related = ("account",)

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

    @admin.action(description="Reset the learned prices", permissions=["forget"])
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
