"""Filter and page a team's jobs."""

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
    """Conditions on jobs; None means no filter.

    ``key`` is an API key's Id, ``span`` the days on which jobs were submitted, and ``name`` a part of the
    picture's name, case-insensitive.
    """

    state: str | None = None
    origin: str | None = None
    key: str | None = None
    name: str | None = None
    span: DateRange = ALL_DAYS

    @property
    def unindexed(self) -> Q:
        """Return the conditions that no index covers."""
        conditions = {"origin": self.origin, "name__icontains": self.name}
        return Q(**{name: text for name, text in conditions.items() if text is not None})


def of_team(team: Team) -> JobQuerySet:
    """Select the team's jobs with everything that a page or response reads, in a fixed number of queries."""
    return Job.objects.with_books().select_related("created_by", "api_key").filter(team=team)


def page(team: Team, job_filter: JobFilter, before: int | None, size: int) -> Page[Job]:
    """Return the newest matching jobs before a key; see ``pagination.filtered_page``."""
    rows = of_team(team)
    if job_filter.state is not None:
        rows = rows.in_state(job_filter.state)
    if job_filter.key is not None:
        rows = rows.filter(api_key__api_id=job_filter.key)
    in_days = pagination.in_days(rows, Job.objects.filter(team=team), job_filter.span)
    return pagination.filtered_page(in_days, job_filter.unindexed, before, size)
