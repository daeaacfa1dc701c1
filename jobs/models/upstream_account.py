"""Record what is known about the upstream account: prices, balances over time, purchases.

Each account that was ever used is a book of its own: its calls, balances and purchases are compared with each
other, and never with another's.
"""

from typing import ClassVar, Self
from uuid import uuid4

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class UpstreamAccountQuerySet(models.QuerySet["UpstreamAccount"]):
    def of_settings(self) -> "UpstreamAccount | None":
        """Return the account of the settings; None if it was never used."""
        return self.filter(upstream=settings.PIXIAN_API_URL, api_id=settings.PIXIAN_API_ID).first()


class UpstreamAccount(models.Model):
    """An account that calls were sent to: the upstream's address, and the API Id there."""

    upstream = models.CharField(max_length=200)
    api_id = models.CharField(max_length=200, blank=True)
    first_used_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UpstreamAccountQuerySet] = UpstreamAccountQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = (models.UniqueConstraint(fields=["upstream", "api_id"], name="upstream_account_once"),)

    def __str__(self) -> str:
        return f"{self.upstream} ({self.api_id})" if self.api_id else self.upstream


class PriceQuerySet(models.QuerySet["Price"]):
    def of(self, upstream: str, api_id: str) -> Self:
        """Select the prices of one account at one address."""
        return self.filter(upstream=upstream, api_id=api_id)

    def learn(self, upstream: str, api_id: str, band: int, rate: int, floor: int = 0) -> None:
        """Let a charge's rate raise the price, or count it towards lowering it (``Price.hear``).

        floor: what is held anyway. A price at or below it needn't fall, and busy workers needn't wait for
        each other's turn at its row. So most charges cost one small query here.
        """
        here = self.of(upstream, api_id).filter(band=band)
        known = here.values_list("microcredits_per_megapixel", "lower_charges").first()
        if known and not _would_change(*known, rate, floor):
            return
        with transaction.atomic():
            if known is None:
                self.get_or_create(
                    upstream=upstream, api_id=api_id, band=band, defaults={"microcredits_per_megapixel": rate}
                )
            price = here.select_for_update().get()  # read anew: another call may have taught it meanwhile
            price.hear(rate)
            price.save()


def _would_change(price: int, lower_charges: int, rate: int, floor: int) -> bool:
    """Tell if ``Price.hear`` would change the row to some effect."""
    if rate > price:
        return True
    is_confirmed = rate == price and not lower_charges
    return price > floor and not is_confirmed


class Price(models.Model):
    """The charge per megapixel to expect for one band of sizes (``jobs.calls.pricing``) by one account.

    It is the highest rate of any charge. After FADES_AFTER lower charges in a row it falls to the highest of
    those, so that one unusual charge isn't held for ever. An operator can reset it. ``manage.py verify``
    checks it against the attempts.
    """

    FADES_AFTER: ClassVar[int] = 20

    upstream = models.CharField(max_length=200)
    api_id = models.CharField(max_length=200, blank=True)
    band = models.PositiveSmallIntegerField()
    microcredits_per_megapixel = models.BigIntegerField()
    since = models.DateTimeField(null=True)
    lower_charges = models.PositiveSmallIntegerField(default=0)  # in a row
    highest_lower = models.BigIntegerField(default=0)  # of these

    objects: ClassVar[PriceQuerySet] = PriceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["upstream", "api_id", "band"], name="price_band_once"),
        )

    def __str__(self) -> str:
        return f"{self.upstream}: {self.microcredits_per_megapixel} in band {self.band}"

    def hear(self, rate: int) -> None:
        """Take a charge's rate into account."""
        if rate >= self.microcredits_per_megapixel:
            self.microcredits_per_megapixel, self.lower_charges, self.highest_lower = rate, 0, 0
            return
        self.lower_charges += 1
        self.highest_lower = max(self.highest_lower, rate)
        if self.lower_charges >= self.FADES_AFTER:
            self.microcredits_per_megapixel, self.lower_charges, self.highest_lower = self.highest_lower, 0, 0


class BalanceSnapshot(models.Model):
    """A response of the account endpoint. The balance is of some moment between the two times."""

    account = models.ForeignKey(UpstreamAccount, on_delete=models.PROTECT, db_index=False)
    asked_at = models.DateTimeField()
    came_at = models.DateTimeField()
    microcredits = models.BigIntegerField()
    answer = models.JSONField(default=dict)

    class Meta:
        ordering = ("came_at",)
        indexes = (models.Index(fields=["account", "came_at"], name="snapshot_in_order"),)

    def __str__(self) -> str:
        return f"{self.account} {self.came_at}: {self.microcredits}"


class Purchase(models.Model):
    """Credits that came onto the account at the upstream, or (below zero) left it other than by a call.

    Bought, given or expired. Entered by a person, and corrected by another entry.
    """

    account = models.ForeignKey(UpstreamAccount, on_delete=models.PROTECT, db_index=False)
    bought_at = models.DateTimeField(_("when"), default=timezone.now)
    microcredits = models.BigIntegerField()
    note = models.CharField(_("note"), max_length=400)
    token = models.UUIDField(default=uuid4, unique=True)  # of the form, so that it is entered once
    entered_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="purchases")
    entered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("bought_at",)
        indexes = (models.Index(fields=["account", "bought_at"], name="purchase_in_order"),)
        constraints = (models.CheckConstraint(condition=~Q(microcredits=0), name="purchase_of_something"),)

    def __str__(self) -> str:
        return f"{self.bought_at:%Y-%m-%d}: {self.microcredits}"


class Verification(models.Model):
    """The findings of one run of ``jobs.audit.verify``."""

    at = models.DateTimeField(default=timezone.now)
    findings = models.JSONField(default=list)  # [[number of the invariant, sentence], …]

    class Meta:
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"{self.at}: {len(self.findings)} findings"
