"""Choose the next job fairly: teams take turns, and within a team programs and tests go before batches.

So 5,000 jobs of one team don't delay one job of another.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Exists, F, OuterRef

from accounts.models import Team
from jobs import plain_sql
from jobs.models import Job, Ramp
from jobs.models.job import JobQuerySet
from jobs.queue import concurrency

SERVE = """
INSERT INTO jobs_turn (team_id, served_at) VALUES (%s, %s)
ON CONFLICT (team_id) DO UPDATE SET served_at = excluded.served_at
"""
NOW, LIMIT = datetime(9999, 1, 1, tzinfo=UTC), -1  # placeholders in a query that is built once


def choice(ramp: Ramp, now: datetime, place: int) -> tuple[str, list[Any]]:
    """Return a SELECT of the next job of the team in this place of the line, from 0, and its parameters.

    It locks the job, and skips one that is locked: a stale worker is just ending it, after its lease ran
    out. It selects none while enough calls are in flight.
    """
    leaves_one = concurrency.program_waits(ramp, now)
    sql, params = _built(next_jobs, JobQuerySet.claimable, place, leaves_one)
    values = {plain_sql.moment(NOW): plain_sql.moment(now), LIMIT: concurrency.limit(ramp, now)}
    return plain_sql.locking(sql, skips_locked=True), [values.get(param, param) for param in params]


def next_jobs(now: datetime, place: int) -> JobQuerySet:
    """Return the claimable jobs of the team that has waited longest, or of one behind it, in order."""
    claimable = Job.objects.claimable(now)
    served = F("turn__served_at").asc(nulls_first=True)
    waiting = Team.objects.filter(Exists(claimable.filter(team=OuterRef("pk")))).order_by(served, "pk")
    team = waiting.values("pk")[place : place + 1]
    return claimable.filter(team=team).order_by("-priority", "run_after", "pk")


def serve(team_id: int, served_at: datetime) -> None:
    """Record a team's turn."""
    with connection.cursor() as cursor:
        cursor.execute(SERVE, [team_id, plain_sql.moment(served_at)])


@cache
def _built(
    jobs_of: Callable[[datetime, int], JobQuerySet],
    _claimable: object,
    place: int,
    leaves_one: bool,  # noqa: FBT001
) -> tuple[str, tuple[Any, ...]]:
    """Build the query once, since that costs more CPU than the rest of a claim.

    All functions that it depends on are arguments: an experiment that replaces one gets a query of its own.
    """
    jobs = concurrency.within_limit(jobs_of(NOW, place), NOW, LIMIT, leaves_one=leaves_one)
    return jobs.values("pk")[:1].query.sql_with_params()
