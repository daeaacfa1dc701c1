"""Users, teams, memberships and invitations."""

from __future__ import annotations

import unicodedata
from secrets import token_hex
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


def normalize_address(email: str) -> str:
    """Return the one spelling of an address: in lower case, without full-width and other look-alike forms."""
    return unicodedata.normalize("NFKC", email.strip()).lower()


NOWHERE = "@people.invalid"
"""The domain of deleted accounts, which no mail reaches (RFC 2606)."""


def deleted_address(pk: int) -> str:
    """Return what replaces the address of a deleted account; nobody can have taken it before."""
    return f"deleted-{pk}-{token_hex(4)}{NOWHERE}"


class UserManager(BaseUserManager["User"]):
    @transaction.atomic
    def create_user(
        self, email: str, password: str | None = None, *, confirmed: bool = True, **fields: Any
    ) -> User:
        """Create a user who signs in by email, or only by a link if there is no password.

        confirmed: the address is known to be theirs. The operators who create users vouch for it.
        """
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        addresses: Any = user.emailaddress_set  # type: ignore[attr-defined]  # allauth's
        addresses.create(email=user.email, primary=True, verified=confirmed)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    username = None  # type: ignore[assignment]
    email = models.EmailField(_("email address"), unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_lower"),)

    def __str__(self) -> str:
        # For readers. Files and programs get the address, which is the same in every language.
        return gettext("Person %(number)s") % {"number": self.pk} if self.is_deleted else self.email

    @property
    def is_deleted(self) -> bool:
        """True if the account was deleted: its books stay, under a number in place of its address."""
        return self.email.endswith(NOWHERE) and self.email.startswith(f"deleted-{self.pk}-")

    def clean(self) -> None:
        super().clean()
        self.email = normalize_address(self.email)  # before a form looks for others with the same one

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = normalize_address(self.email)  # one person, one address, however it was typed
        super().save(*args, **kwargs)


class Team(models.Model):
    """People who share credits and pictures.

    keep_days: pictures older than this are erased; None keeps them. keep_from: until then none is erased,
    so that a shorter time can be taken back. deleted_at: its pictures go, its books stay. quota_bytes: what
    its files may take up; None is no bound. storage_full: they did when they were measured last.
    """

    name = models.CharField(_("name"), max_length=80)
    slug = models.SlugField(unique=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")
    created_at = models.DateTimeField(auto_now_add=True)
    keep_days = models.PositiveIntegerField(null=True, editable=False)
    keep_from = models.DateTimeField(null=True, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)
    quota_bytes = models.PositiveBigIntegerField(null=True, editable=False)
    storage_full = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(keep_days=None) | Q(keep_days__gte=1), name="team_keeps_days"),
        )

    def __str__(self) -> str:
        return self.name


class Role(models.IntegerChoices):
    """A member's permissions; each role includes those of the roles above it."""

    VIEWER = 1, _("viewer")  # sees
    MEMBER = 2, _("member")  # spends
    MANAGER = 3, _("manager")  # invites, sets limits
    OWNER = 4, _("owner")  # does all


class Membership(models.Model):
    """A user's place in a team.

    from_provider: the identity provider's groups made it and keep its role; no person has changed it.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.PositiveSmallIntegerField(_("role"), choices=Role.choices, default=Role.MEMBER)
    from_provider = models.BooleanField(_("kept by the identity provider"), default=False, db_default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["user", "team"], name="membership_unique"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.team} as {self.get_role_display()}"


class Invitation(models.Model):
    """An invitation into a team by email.

    The bearer of the token may join, once and before it expires; only a hash of the token is kept.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(_("email address"))
    role = models.PositiveSmallIntegerField(_("role"), choices=Role.choices, default=Role.MEMBER)
    token_sha256 = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="invitations_sent")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["team", "email"], name="invitation_once"),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="invitation_email_lower"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
        )

    def __str__(self) -> str:
        return f"{self.email} into {self.team}"
