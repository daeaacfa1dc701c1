"""When an allowance's period begins and when it renews, in the time zone of the settings."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone

from accounts.models import Allowance

Period = Allowance.Period


def around(period: str, at: datetime) -> tuple[datetime, datetime]:
    """Start and end of the day, week (from Monday) or month that ``at`` lies in: start ≤ at < end.

    Days are whole calendar days, so that one on which clocks change has 23 or 25 hours.
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
    return timezone.make_aware(datetime.combine(day, time.min))
