"""Users, teams, who is in which, and who is asked to come."""

from __future__ import annotations

import unicodedata
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def normalize_address(email: str) -> str:
    """Return the one spelling of an address: in lower case, without full-width and other look-alike forms."""
    return unicodedata.normalize("NFKC", email.strip()).lower()


class UserManager(BaseUserManager["User"]):
    @transaction.atomic
    def create_user(
        self, email: str, password: str | None = None, *, confirmed: bool = True, **fields: Any
    ) -> User:
        """A user who logs in by e-mail; without a password, by a link only.

        confirmed: the address is known to be theirs. Operators, who make users, vouch for it.
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
        return self.email

    def clean(self) -> None:
        super().clean()
        self.email = normalize_address(self.email)  # before a form looks for others with the same one

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = normalize_address(self.email)  # one person, one address, however it was typed
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


class Invitation(models.Model):
    """Somebody is asked into a team by e-mail. Whoever has the token may come in, once and in time; of the
    token only a hash is kept."""

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
