"""Show users, teams and the ledger in Django's admin. The ledger can only be read there."""

from typing import Any, ClassVar

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import IntegrityError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.auth import email_addresses
from accounts.ledger.money import to_credits
from accounts.long_tables import PER_PAGE, BoundedPaginator, ByTeam, LongTableAdmin, Window, is_key, never
from accounts.models import (
    Adjustment,
    AllowanceUse,
    AuditEntry,
    CreditRequest,
    Invitation,
    LedgerAccount,
    Membership,
    Team,
    Transfer,
    User,
    normalize_address,
)
from accounts.teams import deletion

MAX_MEMBERSHIPS = 10

# The admin's own login page asks for no second factor, and doesn't limit wrong passwords.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

# Its page could confirm an address without a line in the log. The users' action does that instead.
admin.site.unregister(EmailAddress)

# Settings alone say who the identity provider is, tokens aren't stored, and accounts need a page like ours.
admin.site.unregister((SocialApp, SocialToken, SocialAccount))


class BooksAdmin(LongTableAdmin):
    """Show a table of the ledger, which only ``accounts.ledger.operations`` writes."""

    has_add_permission = has_change_permission = has_delete_permission = never


class ReadOnlyAdmin(BooksAdmin):
    """Show a table that its own module writes, the newest rows first."""

    list_filter: ClassVar[Any] = (Window,)
    ordering: ClassVar[Any] = ("-pk",)


class MembershipInline(admin.TabularInline):
    """Edit the newest memberships of a person or a team; ``MembershipAdmin`` finds the others."""

    model = Membership
    extra = 0
    autocomplete_fields = ("user", "team")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        rows: QuerySet[Membership] = super().get_queryset(request)
        match = request.resolver_match
        parent = match.kwargs.get("object_id", "") if match else ""
        if not is_key(parent):
            return rows.none()
        theirs = rows.filter(**{str(self.fk_name): int(parent)}).order_by("-pk")
        newest = list(theirs.values_list("pk", flat=True)[:MAX_MEMBERSHIPS])
        return rows.filter(pk__in=newest).select_related("user", "team")


class MembershipOfUserInline(MembershipInline):
    fk_name = "user"


class MembershipOfTeamInline(MembershipInline):
    fk_name = "team"


@admin.register(Membership)
class MembershipAdmin(LongTableAdmin):
    list_display = ("user", "team", "role", "created_at")
    list_filter = (Window, ByTeam, "role")
    list_select_related = ("user", "team")
    search_fields = ("user__email", "team__name")
    autocomplete_fields = ("user", "team")
    ordering = ("-pk",)
    with_team = frozenset[str]()


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Edit users. Staff who enter or confirm an address vouch for it; Django logs who did and when.

    Only a user without pictures and transfers can be deleted. Django would load all of those to refuse it.
    """

    paginator = BoundedPaginator
    list_per_page = PER_PAGE
    show_full_result_count = False

    ordering = ("email",)
    list_display = ("email", "confirmed", "first_name", "last_name", "is_active", "is_staff", "last_login")
    actions = ("confirm_addresses",)
    search_fields = ("email__contains",)
    search_help_text = "A part of an address."
    inlines = (MembershipOfUserInline,)
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("first_name", "last_name")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    # Nobody's to change; and a form couldn't send one back from the hour that clocks repeat.
    readonly_fields = ("last_login", "date_joined")
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        theirs = EmailAddress.objects.filter(user=OuterRef("pk"), email=OuterRef("email"), verified=True)
        users: QuerySet[User] = super().get_queryset(request)
        return users.annotate(is_confirmed=Exists(theirs))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        # Addresses are stored in lower case; a search that ignores case takes three times as long.
        found: tuple[QuerySet[User], bool] = super().get_search_results(
            request, queryset, normalize_address(search_term)
        )
        return found

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # Without a user it is about the list's action, which deletes several at once.
        if obj is None or obj.transfers.exists() or Transfer.objects.filter(spender=obj).exists():
            return False
        return bool(super().has_delete_permission(request, obj))

    def delete_model(self, request: HttpRequest, user: User) -> None:
        pk, addresses = user.pk, deletion.addresses_of(user)
        super().delete_model(request, user)
        deletion.forget_in_log(pk, addresses)  # also in the entry that says who deleted them

    @admin.display(description="address confirmed", boolean=True)
    def confirmed(self, user: Any) -> bool:
        return bool(user.is_confirmed)

    def save_model(self, request: HttpRequest, user: User, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        super().save_model(request, user, form, change)
        if "email" in form.changed_data:
            email_addresses.vouch_for(user)

    @admin.action(description="Confirm that the address belongs to the user", permissions=["change"])
    def confirm_addresses(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in users:
            try:
                email_addresses.vouch_for(user)
            except IntegrityError:
                self.message_user(request, f"{user} is the address of another account.", messages.ERROR)
            else:
                self.log_change(request, user, "Confirmed the address.")
                self.message_user(request, f"{user} is confirmed.", messages.SUCCESS)


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    """Edit teams. Each has its books, which can't be deleted."""

    has_delete_permission = never
    paginator = BoundedPaginator
    list_per_page = PER_PAGE
    show_full_result_count = False
    list_display = ("name", "slug", "created_at", "pages")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012
    readonly_fields = ("pages",)
    inlines = (MembershipOfTeamInline,)

    @admin.display(description="pages")
    def pages(self, team: Team) -> str:
        if team._state.adding:
            return "–"
        return format_html(
            '<a href="{}">credits</a> <a href="{}?{team}">transfers</a> <a href="{}?{team}">members</a>',
            reverse("credits", args=[team.slug]),
            reverse("admin:accounts_transfer_changelist"),
            reverse("admin:accounts_membership_changelist"),
            team=f"{ByTeam.parameter_name}={team.pk}",
        )


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):
    """Show and revoke invitations. They are made on the team's page, which shows the link."""

    paginator = BoundedPaginator
    list_per_page = PER_PAGE
    show_full_result_count = False
    list_display = ("email", "team", "role", "invited_by", "created_at", "expires_at")
    list_select_related = ("team", "invited_by")
    search_fields = ("email", "team__name")
    exclude = ("token_sha256",)
    has_add_permission = has_change_permission = never


@admin.register(CreditRequest)
class CreditRequestAdmin(admin.ModelAdmin):
    """Show the requests for credits of all teams. They are decided on the team's page."""

    paginator = BoundedPaginator
    list_per_page = PER_PAGE
    show_full_result_count = False
    list_display = ("created_at", "team", "asked_by", "credits", "granted", "decided_by", "page")
    list_filter = (("decided_at", admin.EmptyFieldListFilter),)
    list_select_related = ("team", "asked_by", "decided_by")
    search_fields = ("team__name", "asked_by__email", "note")
    ordering = ("-pk",)
    has_add_permission = has_change_permission = has_delete_permission = never

    @admin.display(description="credits", ordering="microcredits")
    def credits(self, asked: CreditRequest) -> str:
        return str(to_credits(asked.microcredits))

    @admin.display(description="granted")
    def granted(self, asked: CreditRequest) -> str:
        return "" if asked.granted_microcredits is None else str(to_credits(asked.granted_microcredits))

    @admin.display(description="page")
    def page(self, asked: CreditRequest) -> str:
        return format_html('<a href="{}">decide</a>', reverse("credits", args=[asked.team.slug]))


@admin.register(AuditEntry)
class AuditEntryAdmin(BooksAdmin):
    """Show what people decided about credits, of all teams; the database refuses to change it."""

    list_display = ("id", "at", "actor", "team", "action", "subject", "reason", "request_id")
    list_filter = (Window, "action")
    list_select_related = ("actor", "team")
    search_fields = ("subject", "reason", "actor__email", "team__name", "request_id")

    def exactly(self, text: str) -> Q | None:
        """Return the entries about this row, such as ``attempt:12``."""
        return Q(subject=text) if ":" in text else None


@admin.register(LedgerAccount)
class LedgerAccountAdmin(BooksAdmin):
    list_display = ("team", "kind", "credits")
    list_filter = (Window, ByTeam, "kind")
    list_select_related = ("team",)
    search_fields = ("team__name",)
    with_team = frozenset[str]()

    @admin.display(description="credits", ordering="balance_microcredits")
    def credits(self, account: LedgerAccount) -> str:
        return str(to_credits(account.balance_microcredits))


@admin.register(Transfer)
class TransferAdmin(BooksAdmin):
    list_display = (
        "id",
        "created_at",
        "team",
        "kind",
        "credits",
        "debit",
        "credit",
        "reference",
        "actor",
        "memo",
    )
    list_filter = (Window, ByTeam, "kind")
    list_select_related = ("team", "debit__team", "credit__team", "actor")
    search_fields = ("reference", "idempotency_key", "memo", "team__name")
    search_help_text = "A number, an idempotency key, a call such as job:12:1, or a part of a text."
    with_team = frozenset({"kind__exact"})

    def exactly(self, text: str) -> Q | None:
        """Return the transfer with this number or idempotency key, or a call's hold and what ended it."""
        if is_key(text):
            return Q(pk=int(text))
        named = Transfer.objects.filter(idempotency_key__in=(text, f"hold:{text}")).first()
        return None if named is None else Q(pk=named.pk) | Q(hold=named.pk)

    @admin.display(description="credits", ordering="amount_microcredits")
    def credits(self, transfer: Transfer) -> str:
        return str(to_credits(transfer.amount_microcredits))


@admin.register(AllowanceUse)
class AllowanceUseAdmin(ReadOnlyAdmin):
    list_display = ("starts_at", "renews_at", "of", "limit", "used", "raised")
    list_select_related = ("allowance__member__user", "allowance__member__team", "allowance__api_key")

    @admin.display(description="of")
    def of(self, use: AllowanceUse) -> str:
        return str(use.allowance.member or use.allowance.api_key)

    @admin.display(description="limit")
    def limit(self, use: AllowanceUse) -> str:
        return str(to_credits(use.allowance.limit_microcredits))

    @admin.display(description="used", ordering="used_microcredits")
    def used(self, use: AllowanceUse) -> str:
        return str(to_credits(use.used_microcredits))

    @admin.display(description="raised by", ordering="raised_microcredits")
    def raised(self, use: AllowanceUse) -> str:
        return str(to_credits(use.raised_microcredits))


@admin.register(Adjustment)
class AdjustmentAdmin(ReadOnlyAdmin):
    list_display = ("asked_at", "team", "kind", "credits", "reason", "asked_by", "approved", "decided_by")
    list_filter = (Window, ByTeam, "kind", "approved")
    list_select_related = ("team", "asked_by", "decided_by")

    @admin.display(description="credits", ordering="microcredits")
    def credits(self, adjustment: Adjustment) -> str:
        return str(to_credits(adjustment.microcredits))
