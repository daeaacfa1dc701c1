"""Say how long a batch will take, by what was finished lately."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobs.models import Attempt

LATELY = timedelta(minutes=5)
AT_MOST = 60
"""Pictures that a pace is taken from."""

ENOUGH = 3
"""Pictures that say something about the pace of the others."""

MINUTE, HOUR = 60, 3600


def endings(batch: UUID) -> list[datetime]:
    """Return when the batch's latest calls ended, the newest first."""
    since = timezone.now() - LATELY
    # The bound on the job follows from the other; the index that begins with the batch finds the jobs by it.
    ended = Attempt.objects.filter(job__batch=batch, job__updated_at__gte=since, ended_at__gte=since)
    newest = ended.order_by("-ended_at").values_list("ended_at", flat=True)[:AT_MOST]
    return [at for at in newest if at]


def per_second(ended: Sequence[datetime], now: datetime) -> float | None:
    """Return the pace; None while too little has ended to tell. It falls while nothing ends."""
    if len(ended) < ENOUGH:
        return None
    seconds = (now - ended[-1]).total_seconds()
    return (len(ended) - 1) / seconds if seconds > 0 else None


def time_left(pictures: int, pace: float | None) -> str | None:
    """Return how long so many pictures will take, as a person says it; None if it can't be told."""
    if not pictures or pace is None:
        return None
    seconds = pictures / pace
    if seconds < MINUTE:
        return _("less than a minute left")
    if seconds < 2 * HOUR:
        minutes = round(seconds / MINUTE)
        return ngettext("about %(count)s min left", "about %(count)s min left", minutes) % {"count": minutes}
    hours = round(seconds / HOUR)
    return ngettext("about %(count)s h left", "about %(count)s h left", hours) % {"count": hours}


def pace_text(pace: float | None) -> str:
    """Return the pace in words, and nothing below one a minute."""
    minute = round((pace or 0) * MINUTE)
    if not minute:
        return ""
    return ngettext("%(count)s picture a minute", "%(count)s pictures a minute", minute) % {"count": minute}
