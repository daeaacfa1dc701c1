"""Foretell when a team's pool runs dry, at the pace of its last bookings."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Sum
from django.utils import timezone

from accounts.models import Team

DAYS, LEAST_DAYS = 28, 7
FAR = timedelta(days=366)
"""Nobody's pace stays the same for longer than that."""


@dataclass(frozen=True)
class Forecast:
    """Say when the pool runs dry: None if that is more than a year off.

    available, a_day: in micro-credits. days: those that the pace is of.
    """

    available: int
    a_day: int
    days: int
    dry_on: date | None


def forecast(team: Team, available: int) -> Forecast | None:
    """Foretell from the last 28 whole days, or those since the first booking.

    None if those are fewer than 7, if nothing was booked on them, or if nothing is available.
    """
    today = timezone.localdate()
    booked = team.usage_days.filter(booked__gt=0, day__lt=today)
    first = booked.order_by("day").values_list("day", flat=True).first()
    if first is None or available <= 0:
        return None
    days = min(DAYS, (today - first).days)
    spent = booked.filter(day__gte=today - timedelta(days=days)).aggregate(sum=Sum("booked"))["sum"]
    if days < LEAST_DAYS or not spent:
        return None
    left = timedelta(days=min(available * days // int(spent), FAR.days))
    return Forecast(available, int(spent) // days, days, None if left == FAR else today + left)
