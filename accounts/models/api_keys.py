"""Store the keys by which programs spend and read."""

from __future__ import annotations

from django.db import models
from django.db.models import OuterRef, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Membership, Role, Team, User


class Scope(models.TextChoices):
    """Name what a key may do."""

    CUTOUTS = "cutouts", _("remove backgrounds")
    BALANCE = "balance", _("view the balance")
    JOBS = "jobs", _("view pictures and download results")
    LEDGER = "ledger", _("view the ledger and usage")


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> ApiKeyQuerySet:
        """Keep the keys that are neither revoked nor expired."""
        in_time = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        return self.filter(in_time, revoked_at=None)

    def with_owners_role(self) -> ApiKeyQuerySet:
        """Annotate each key with ``owners_role``: its owner's role, or None if they have left the team."""
        theirs = Membership.objects.filter(team=OuterRef("team"), user=OuterRef("owner"))
        role = {"owners_role": Subquery(theirs.values("role"))}  # not as keyword: the model declares the name
        return self.annotate(**role)


class ApiKey(models.Model):
    """Let a program spend and read on behalf of the key's owner; the allowances of both count.

    Id and secret have the contract's shape. The secret is 260 random bits, so a plain hash of it gives
    nothing away. scopes: names of ``Scope``, separated by spaces.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="api_keys")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(_("name"), max_length=80)
    api_id = models.CharField(max_length=15, unique=True)
    secret_sha256 = models.CharField(max_length=64)
    scopes = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="keys_revoked")

    owners_role: int | None
    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")

    def __str__(self) -> str:
        return f"{self.name} ({self.api_id})"

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and not self.is_expired

    def allows(self, scope: Scope) -> bool:
        """Return True if the key has the scope and its owner may do the same: a viewer's key can't spend."""
        may = scope != Scope.CUTOUTS or (self.owners_role or 0) >= Role.MEMBER
        return may and scope in self.scopes.split()
