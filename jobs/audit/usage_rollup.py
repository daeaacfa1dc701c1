"""Recompute the roll-up of usage from the ledger and the jobs, compare it, and mend it.

Bookings and reuses are recomputed. Renditions aren't: they are a cache, and one that is deleted leaves no row
to count. A difference is what has to be added to a row, and all of a team's differences come from one
statement, which sees bookings and roll-up as of one moment. So a row can be mended while bookings add to it.

A row's day is in the time zone of the settings. Whoever changes that runs ``manage.py recompute_usage`` then.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Team
from jobs import usage_days
from jobs.models import UsageDay

RECOMPUTED = ("calls", "pixels", "estimated", "held", "booked", "duplicates", "saved")
KEYS = ("day", "spender_id", "api_key_id", "batch_id", "origin")

# A settled hold's first transfer has at least a micro-credit; what goes beyond the hold is in a second one.
DIFFERENCES = """
SELECT {keys}, {sums} FROM (
    SELECT {booking_day} AS day, COALESCE(settle.spender_id, job.created_by_id) AS spender_id,
        settle.api_key_id, job.batch_id, job.origin, 1 AS calls,
        CAST(job.width AS bigint) * job.height AS pixels, job.estimated_microcredits AS estimated,
        hold.amount_microcredits AS held,
        settle.amount_microcredits + COALESCE(excess.amount_microcredits, 0) AS booked,
        0 AS duplicates, 0 AS saved
    FROM accounts_transfer settle
    JOIN accounts_transfer hold ON hold.id = settle.hold_id
    JOIN jobs_attempt attempt ON attempt.hold_id = hold.id
    JOIN jobs_job job ON job.id = attempt.job_id
    LEFT JOIN accounts_transfer excess ON excess.hold_id = hold.id AND excess.resolution = 'excess'
    WHERE settle.team_id = %s AND settle.kind = 'settle'
    UNION ALL
    SELECT {reuse_day}, job.created_by_id, job.api_key_id, job.batch_id, job.origin, 0, 0, 0, 0, 0,
        1, source.estimated_microcredits
    FROM jobs_job job JOIN jobs_job source ON source.id = job.reused_from_id WHERE job.team_id = %s
    UNION ALL
    SELECT {keys}, {stored} FROM jobs_usageday WHERE team_id = %s
) AS counted
GROUP BY {keys} HAVING {differs} ORDER BY day, spender_id, api_key_id, batch_id, origin
"""


def differences(team: Team) -> Iterator[UsageDay]:
    """Yield what has to be added to each of the team's rows that isn't the sum of its bookings and reuses."""
    sql, params = _differences(team.pk)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        for row in cursor:
            yield _missing(team, row)


def mend(team: Team) -> int:
    """Add to each of the team's rows what it lacks, in one transaction; return how many were wrong.

    SQLite lets nobody else write meanwhile; PostgreSQL lets bookings go on.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:  # two that mend at once would both add what is lacking
                cursor.execute("LOCK TABLE jobs_usageday IN SHARE UPDATE EXCLUSIVE MODE")
        lacking = list(differences(team))
        for row in lacking:
            usage_days.add(row)
    return len(lacking)


def _differences(team: int) -> tuple[str, list[Any]]:
    zone = timezone.get_current_timezone_name()
    days = {
        name: connection.ops.datetime_cast_date_sql(column, (), zone)
        for name, column in (("booking_day", "settle.created_at"), ("reuse_day", "job.created_at"))
    }
    sql = DIFFERENCES.format(
        keys=", ".join(KEYS),
        sums=", ".join(f"SUM({name})" for name in RECOMPUTED),
        stored=", ".join(f"-{name}" for name in RECOMPUTED),
        differs=" OR ".join(f"SUM({name}) <> 0" for name in RECOMPUTED),
        **{name: day for name, (day, _params) in days.items()},
    )
    (_, booking_params), (_, reuse_params) = days.values()
    return sql, [*booking_params, team, *reuse_params, team, team]


def _missing(team: Team, row: tuple[Any, ...]) -> UsageDay:
    day, spender, api_key, batch, origin, *counts = row
    batch_id = UUID(str(batch)) if batch else None
    return UsageDay(
        team=team,
        day=date.fromisoformat(str(day)),
        bucket=usage_days.bucket(spender, api_key, batch_id, origin),
        spender_id=spender,
        api_key_id=api_key,
        batch_id=batch_id,
        origin=origin,
        **{name: int(count) for name, count in zip(RECOMPUTED, counts, strict=True)},
    )
