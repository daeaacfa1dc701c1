"""What is known of the account at the upstream: its prices, its balance over time, what was bought."""

from typing import ClassVar

from django.db import models
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class PriceQuerySet(models.QuerySet["Price"]):
    def highest(self, upstream: str, band: int) -> int:
        """The highest charge per megapixel seen at this upstream in this band or a larger one; 0 if none."""
        seen = self.filter(upstream=upstream, band__gte=band).aggregate(
            highest=Max("microcredits_per_megapixel")
        )
        return seen["highest"] or 0

    def learn(self, upstream: str, band: int, rate: int) -> None:
        """Keep a rate where it is higher than what was seen. Two who learn at once keep the higher one."""
        row = self.filter(upstream=upstream, band=band)
        seen = row.values_list("microcredits_per_megapixel", flat=True).first()
        if seen is None:
            values = {"microcredits_per_megapixel": rate}
            seen = self.get_or_create(upstream=upstream, band=band, defaults=values)[
                0
            ].microcredits_per_megapixel
        if seen < rate:
            row.filter(microcredits_per_megapixel__lt=rate).update(microcredits_per_megapixel=rate)


class Price(models.Model):
    """The highest charge per megapixel seen for pictures of one band of sizes (``jobs.price``), since an
    operator last said to forget: a roll-up of the attempts, which ``manage.py verify`` recomputes."""

    upstream = models.CharField(max_length=200)
    band = models.PositiveSmallIntegerField()
    microcredits_per_megapixel = models.BigIntegerField()
    since = models.DateTimeField(null=True)

    objects: ClassVar[PriceQuerySet] = PriceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = (models.UniqueConstraint(fields=["upstream", "band"], name="price_band_once"),)

    def __str__(self) -> str:
        return f"{self.upstream}: {self.microcredits_per_megapixel} in band {self.band}"


class BalanceSnapshot(models.Model):
    """What the account endpoint said. The balance is of some moment between the two times."""

    upstream = models.CharField(max_length=200)
    asked_at = models.DateTimeField()
    came_at = models.DateTimeField()
    microcredits = models.BigIntegerField()
    answer = models.JSONField(default=dict)

    class Meta:
        ordering = ("came_at",)
        indexes = (models.Index(fields=["upstream", "came_at"], name="snapshot_in_order"),)

    def __str__(self) -> str:
        return f"{self.upstream} {self.came_at}: {self.microcredits}"


class Purchase(models.Model):
    """Credits that came onto the account at the upstream, or (below zero) left it other than by a call:
    bought, given, expired. Entered by a person, and corrected by another entry."""

    upstream = models.CharField(max_length=200)
    bought_at = models.DateTimeField(_("when"), default=timezone.now)
    microcredits = models.BigIntegerField()
    note = models.CharField(_("note"), max_length=400)
    entered_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="purchases")
    entered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("bought_at",)
        constraints = (models.CheckConstraint(condition=~Q(microcredits=0), name="purchase_of_something"),)

    def __str__(self) -> str:
        return f"{self.bought_at:%Y-%m-%d}: {self.microcredits}"


class Verification(models.Model):
    """What ``jobs.verify`` found when it ran."""

    at = models.DateTimeField(default=timezone.now)
    findings = models.JSONField(default=list)  # [[number of the invariant, sentence], …]

    class Meta:
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"{self.at}: {len(self.findings)} findings"
