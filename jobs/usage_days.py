"""Count what a team spends and saves, in the roll-up of its days.

Each function runs in the transaction that books a call, reuses a picture or makes a rendition, so that a
roll-up never says more or less than its rows; ``jobs.audit.usage_rollup`` recomputes it. A row is the last
thing that those transactions lock of a team, behind the job and the ledger's accounts, and it is added to in
one statement: two that count at once wait for each other, and neither overwrites the other's sum.
"""

from collections.abc import Iterable
from datetime import date, datetime
from itertools import groupby
from typing import Any

from django.db import connection
from django.utils import timezone

from jobs.models import Attempt, Job, UsageDay

COUNTS = ("calls", "pixels", "estimated", "held", "booked", "duplicates", "saved", "renditions")
FIELDS = [field for field in UsageDay._meta.concrete_fields if not field.primary_key]

# In plain SQL, because a busy team's bookings wait for each other, and the ORM would be most of that wait.
ADD = """
INSERT INTO jobs_usageday ({columns}) VALUES ({values})
ON CONFLICT (team_id, day, bucket) DO UPDATE SET {sums}
""".format(
    columns=", ".join(str(field.column) for field in FIELDS),
    values=", ".join(["%s"] * len(FIELDS)),
    sums=", ".join(f"{name} = jobs_usageday.{name} + excluded.{name}" for name in COUNTS),
)


def count_call(attempt: Attempt, charged: int, at: datetime) -> None:
    """Count a call by the micro-credits that were booked for it at this time; 0 counts nothing."""
    if not (charged and attempt.hold):
        return
    job, hold = attempt.job, attempt.hold
    counts = {
        "calls": 1,
        "pixels": job.width * job.height,
        "estimated": job.estimated_microcredits,
        "held": hold.amount_microcredits,
        "booked": charged,
    }
    add(_row(job, _day(at), hold.spender_id or job.created_by_id, hold.api_key_id, **counts))


def count_reuses(jobs: Iterable[Job]) -> None:
    """Count pictures that reuse an earlier cut-out, in the order of their making.

    They are of one person and one batch, so those of a day are one row. What each saves is the estimate of
    the job that it reuses.
    """
    for day, of_day in groupby(jobs, lambda job: _day(job.created_at)):
        reusing = list(of_day)
        saved = sum(job.reused_from.estimated_microcredits for job in reusing if job.reused_from)
        job = reusing[0]
        add(_row(job, day, job.created_by_id, job.api_key_id, duplicates=len(reusing), saved=saved))


def count_rendition(job: Job) -> None:
    """Count a rendition that is made for the first time now."""
    add(_row(job, _day(timezone.now()), job.created_by_id, job.api_key_id, renditions=1))


def add(row: UsageDay) -> None:
    """Add a row's counts, which may be below zero, to those of the stored row of its kind."""
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in FIELDS]
    with connection.cursor() as cursor:
        cursor.execute(ADD, values)


def bucket(spender: int, api_key: int | None, batch: Any, origin: str) -> str:
    """Return what makes a row one of its kind on its day, as text."""
    return f"{spender}/{api_key or ''}/{batch or ''}/{origin}"


def _row(job: Job, day: date, spender: int, api_key: int | None, **counts: int) -> UsageDay:
    return UsageDay(
        team_id=job.team_id,
        day=day,
        bucket=bucket(spender, api_key, job.batch_id, job.origin),
        spender_id=spender,
        api_key_id=api_key,
        batch_id=job.batch_id,
        origin=job.origin,
        **counts,
    )


def _day(at: datetime) -> date:
    """Return the day of a time, in the instance's time zone."""
    return timezone.localdate(at)
