"""Which of a team's jobs somebody looks for."""

from dataclasses import dataclass

from django.db.models import QuerySet

from accounts.models import Team
from jobs.models import Job
from jobs.reconcile.rows import Span

ALL_DAYS = Span()


@dataclass(frozen=True)
class Wanted:
    """What is left out leaves that open. key: an API key's Id. span: of days on which they came in.
    name: a part of the picture's name, in any case."""

    state: str | None = None
    origin: str | None = None
    key: str | None = None
    name: str | None = None
    span: Span = ALL_DAYS


def of_team(team: Team) -> QuerySet[Job]:
    """With all that an answer about them reads, in as many queries however many they are."""
    return Job.objects.with_books().select_related("created_by", "api_key").filter(team=team)


def found(team: Team, wanted: Wanted) -> QuerySet[Job]:
    asked = {
        "state": wanted.state,
        "origin": wanted.origin,
        "api_key__api_id": wanted.key,
        "name__icontains": wanted.name,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    return of_team(team).filter(wanted.span.of("created_at"), **given)
