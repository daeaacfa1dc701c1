"""Show users, teams and the ledger in Django's admin. The ledger can only be read there."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
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
from accounts.long_tables import LongTableAdmin, Window, never
from accounts.models import CreditRequest, Invitation, LedgerAccount, Membership, Team, Transfer, User

# The admin's own login page asks for no second factor, and doesn't limit wrong passwords.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

# Its page could confirm an address without a line in the log. The users' action does that instead.
admin.site.unregister(EmailAddress)


class BooksAdmin(LongTableAdmin):
    """Show a table of the ledger, which only ``accounts.ledger.operations`` writes."""

    has_add_permission = has_change_permission = has_delete_permission = never


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user", "team")


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Edit users. Staff who enter or confirm an address vouch for it; Django logs who did and when."""

    ordering = ("email",)
    list_display = ("email", "confirmed", "first_name", "last_name", "is_active", "is_staff", "last_login")
    actions = ("confirm_addresses",)
    search_fields = ("email", "first_name", "last_name")
    inlines = (MembershipInline,)
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("first_name", "last_name")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        theirs = EmailAddress.objects.filter(user=OuterRef("pk"), email=OuterRef("email"), verified=True)
        users: QuerySet[User] = super().get_queryset(request)
        return users.annotate(is_confirmed=Exists(theirs))

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
                self.log_change(request, user, f"Confirmed the address {user.email}.")
                self.message_user(request, f"{user} is confirmed.", messages.SUCCESS)


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012
    inlines = (MembershipInline,)


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):
    """Show and revoke invitations. They are made on the team's page, which shows the link."""

    list_display = ("email", "team", "role", "invited_by", "created_at", "expires_at")
    list_select_related = ("team", "invited_by")
    search_fields = ("email", "team__name")
    exclude = ("token_sha256",)
    has_add_permission = has_change_permission = never


@admin.register(CreditRequest)
class CreditRequestAdmin(admin.ModelAdmin):
    """Show the requests for credits of all teams. They are decided on the team's page."""

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


@admin.register(LedgerAccount)
class LedgerAccountAdmin(BooksAdmin):
    list_display = ("team", "kind", "credits")
    list_filter = ("kind",)
    search_fields = ("team__name",)

    @admin.display(description="credits", ordering="balance_microcredits")
    def credits(self, account: LedgerAccount) -> str:
        return str(to_credits(account.balance_microcredits))


@admin.register(Transfer)
class TransferAdmin(BooksAdmin):
    list_display = ("id", "created_at", "kind", "credits", "debit", "credit", "reference", "actor", "memo")
    list_filter = (Window, "kind")
    list_select_related = ("debit__team", "credit__team", "actor")
    search_fields = ("reference", "idempotency_key", "memo", "debit__team__name")
    date_hierarchy = "created_at"

    def exactly(self, text: str) -> Q | None:
        """Return the transfer with this idempotency key, or the hold of this call and what ended it."""
        named = Transfer.objects.filter(idempotency_key__in=(text, f"hold:{text}")).first()
        return None if named is None else Q(pk=named.pk) | Q(hold=named.pk)

    @admin.display(description="credits", ordering="amount_microcredits")
    def credits(self, transfer: Transfer) -> str:
        return str(to_credits(transfer.amount_microcredits))
