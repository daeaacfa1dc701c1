"""Which of a team's jobs somebody looks for."""

from dataclasses import dataclass

from django.db.models import Q

from accounts.models import Team
from jobs.models import Job
from jobs.models.job import JobQuerySet
from jobs.search import pagination
from jobs.search.date_range import DateRange
from jobs.search.pagination import Page

ALL_DAYS = DateRange()


@dataclass(frozen=True)
class JobFilter:
    """What is left out leaves that open. key: an API key's Id. span: of days on which they came in.
    name: a part of the picture's name, in any case."""

    state: str | None = None
    origin: str | None = None
    key: str | None = None
    name: str | None = None
    span: DateRange = ALL_DAYS

    @property
    def sieve(self) -> Q:
        """What no index answers."""
        asked = {"origin": self.origin, "name__icontains": self.name}
        return Q(**{name: text for name, text in asked.items() if text is not None})


def of_team(team: Team) -> JobQuerySet:
    """With all that an answer about them reads, in as many queries however many they are."""
    return Job.objects.with_books().select_related("created_by", "api_key").filter(team=team)


def page(team: Team, wanted: JobFilter, before: int | None, size: int) -> Page[Job]:
    """Return the newest ones before a key; see ``keyset.sifted``."""
    rows = of_team(team)
    if wanted.state is not None:
        rows = rows.in_state(wanted.state)
    if wanted.key is not None:
        rows = rows.filter(api_key__api_id=wanted.key)
    in_days = pagination.of_days(rows, Job.objects.filter(team=team), wanted.span)
    return pagination.sifted(in_days, wanted.sieve, before, size)
