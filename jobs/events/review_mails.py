"""Email a team's managers that charges need a review: once for each, several in one mail."""

from collections import defaultdict
from datetime import timedelta

from django.db.models import CharField, Exists, OuterRef, Value
from django.db.models.functions import Cast, Concat
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import ngettext

from accounts import mail
from accounts.models import Team
from jobs.events import payloads
from jobs.events.alert_mails import managers
from jobs.models import Alert, Attempt

REVIEW = "review"
"""The subject of the rows that record which attempts were mailed. No page shows them."""

PAUSE = timedelta(minutes=15)
"""Between two mails to a team. What comes meanwhile is in the next one."""


def tell_of_reviews() -> int:
    """Email what waits for a review and wasn't mailed yet; return to how many teams."""
    by_team: defaultdict[Team, list[Attempt]] = defaultdict(list)
    for attempt in _untold():
        by_team[attempt.job.team].append(attempt)
    told = [team for team, attempts in by_team.items() if _mark(team, attempts)]
    for team in told:
        _send(team, by_team[team])
    return len(told)


def _untold() -> list[Attempt]:
    period = Concat(Value("attempt:"), Cast(OuterRef("pk"), CharField()))
    told = Alert.objects.filter(subject=REVIEW, team=OuterRef("job__team"), level=0, period=period)
    waiting = Attempt.objects.for_review().filter(~Exists(told))
    return list(waiting.select_related("job__team").order_by("pk"))


def _mark(team: Team, attempts: list[Attempt]) -> bool:
    """Record that these are mailed; False if it is too early, or another process does it."""
    now = timezone.now()
    mailed = Alert.objects.filter(subject=REVIEW, team=team, at__gt=now - PAUSE)
    first, *others = [
        Alert(subject=REVIEW, team=team, level=0, period=f"attempt:{attempt.pk}", at=now, over_at=now)
        for attempt in attempts
    ]
    if mailed.exists():
        return False
    _, created = Alert.objects.get_or_create(
        subject=REVIEW, team=team, level=0, period=first.period, defaults={"at": now, "over_at": now}
    )
    if created:
        Alert.objects.bulk_create(others, ignore_conflicts=True)
    return created


def _send(team: Team, attempts: list[Attempt]) -> None:
    count = len(attempts)
    subject = ngettext(
        "%(count)s charge of %(team)s needs a review", "%(count)s charges of %(team)s need a review", count
    )
    body = render_to_string("jobs/review_needed.txt", {"link": payloads.address("review", team.slug)})
    said = {"count": count, "team": " ".join(team.name.split())}
    mail.send(subject % said, body, mail.reached(managers(team.pk)))
