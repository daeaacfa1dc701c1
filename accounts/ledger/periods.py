"""Compute when an allowance's period begins and renews, in the time zone of the settings."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone

from accounts.models import Allowance

Period = Allowance.Period


def around(period: str, at: datetime) -> tuple[datetime, datetime]:
    """Return start and end of the day, week (from Monday) or month around a time: start ≤ at < end.

    Days are calendar days: one on which the clocks change has 23 or 25 hours.
    """
    day = timezone.localtime(at).date()
    match period:
        case Period.DAY:
            first, after = day, day + timedelta(days=1)
        case Period.WEEK:
            first = day - timedelta(days=day.weekday())
            after = first + timedelta(weeks=1)
        case _:
            first = day.replace(day=1)
            after = (first + timedelta(days=31)).replace(day=1)
    return midnight(first), midnight(after)


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins."""
    return timezone.make_aware(datetime.combine(day, time.min))
