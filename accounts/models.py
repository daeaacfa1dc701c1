"""Users, teams and their members, and the books. Only ``accounts.ledger`` writes the last two tables."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A user who logs in by e-mail; without a password, by a link only."""
        user = self.model(email=email.strip(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    username = None  # type: ignore[assignment]
    email = models.EmailField(_("e-mail address"), unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_lower"),)

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        super().clean()
        self.email = self.email.lower()  # before a form looks for others with the same one

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()  # one person, one address, however it was typed
        super().save(*args, **kwargs)


class Team(models.Model):
    name = models.CharField(_("name"), max_length=80)
    slug = models.SlugField(unique=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Role(models.IntegerChoices):
    """What a member may do, each including what stands above it."""

    VIEWER = 1, _("viewer")  # sees
    MEMBER = 2, _("member")  # spends
    MANAGER = 3, _("manager")  # invites, sets limits
    OWNER = 4, _("owner")  # does all


class Membership(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.PositiveSmallIntegerField(_("role"), choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["user", "team"], name="membership_unique"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.team} as {self.get_role_display()}"


class LedgerAccount(models.Model):
    """Where credits are. A balance is what came in minus what went out, in micro-credits."""

    class Kind(models.TextChoices):
        AVAILABLE = "available", _("available")
        HELD = "held", _("held")
        SPENT = "spent", _("spent")
        OWED = "owed", _("owed")  # zero or below: what was spent beyond the holds
        ISSUED = "issued", _("issued")  # zero or below: all that was ever granted, of no team

    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="ledger_accounts")
    kind = models.CharField(max_length=9, choices=Kind)
    balance_microcredits = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["team", "kind"], name="ledger_account_unique"),
            models.UniqueConstraint(
                fields=["kind"], condition=Q(team=None), name="ledger_account_issued_unique"
            ),
            models.CheckConstraint(
                condition=Q(team=None, kind="issued") | (Q(team__isnull=False) & ~Q(kind="issued")),
                name="ledger_account_only_issued_has_no_team",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["owed", "issued"]) | Q(balance_microcredits__gte=0),
                name="ledger_account_not_overdrawn",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["owed", "issued"]) | Q(balance_microcredits__lte=0),
                name="ledger_account_not_overpaid",
            ),
        )

    def __str__(self) -> str:
        return f"{self.team or 'all'}: {self.kind}"


class Transfer(models.Model):
    """Credits moved from ``debit`` to ``credit``, once and for ever: the database refuses to change or
    delete a row (``accounts.immutable``)."""

    class Kind(models.TextChoices):
        GRANT = "grant", _("granted")
        HOLD = "hold", _("held")
        SETTLE = "settle", _("settled")
        RELEASE = "release", _("released")
        OVERAGE = "overage", _("overage")
        REFUND = "refund", _("refunded")
        ADJUST = "adjust", _("adjusted")

    class Resolution(models.TextChoices):
        """Which part of ending a hold a transfer is. Each part exists once a hold, and every ending has
        a CLOSE, so a hold can't end twice."""

        CLOSE = "close"
        REMAINDER = "remainder"
        EXCESS = "excess"

    debit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="debits")
    credit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="credits")
    amount_microcredits = models.BigIntegerField()
    kind = models.CharField(max_length=7, choices=Kind)
    idempotency_key = models.CharField(max_length=120, unique=True)
    hold = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="resolutions")
    resolution = models.CharField(max_length=9, choices=Resolution, blank=True)
    reference = models.CharField(max_length=80, blank=True)  # what it was for, as the caller names it
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="transfers")
    memo = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(amount_microcredits__gt=0), name="transfer_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="transfer_between_two"),
            models.UniqueConstraint(fields=["hold", "resolution"], name="transfer_resolves_once"),
            models.CheckConstraint(
                condition=Q(hold=None, resolution="") | (Q(hold__isnull=False) & ~Q(resolution="")),
                name="transfer_resolution_names_its_hold",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["settle", "release", "overage"]) | Q(hold__isnull=False),
                name="transfer_ends_a_hold",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["refund", "adjust"]) | ~Q(memo=""), name="transfer_gives_a_reason"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_microcredits}"
