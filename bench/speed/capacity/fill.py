"""Fill the queue of many teams by the database itself, as if their pictures had been uploaded."""

import os
from pathlib import Path

from django.conf import settings
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.models import Max

from accounts.models import LedgerAccount, Transfer
from bench.speed.many_rows.sql import Rows
from chaos.system import System
from jobs.models import Attempt, Job

HELD = 1000  # micro-credits, for
SIDES = 30, 30
ACCOUNT = "(SELECT id FROM accounts_ledgeraccount WHERE team_id = {team} AND kind = '{kind}')"

BALANCES = """
UPDATE accounts_ledgeraccount SET balance_microcredits = balance_microcredits
    + queued.jobs * CASE kind WHEN 'held' THEN %s WHEN 'available' THEN -%s ELSE 0 END
FROM (SELECT team_id, COUNT(*) AS jobs FROM jobs_job WHERE id > %s GROUP BY team_id) AS queued
WHERE queued.team_id = accounts_ledgeraccount.team_id
"""


def queue(system: System, jobs: int, teams: int, with_source: int = 0) -> None:
    """Queue so many jobs, each with its attempt and hold. with_source: how many of the first have a file."""
    rows, first_team = Rows(jobs), system.teams[0].pk
    team = f"({first_team} + i % {teams})"
    job, attempt, hold = (
        model.objects.aggregate(last=Max("pk"))["last"] or 0 for model in (Job, Attempt, Transfer)
    )
    available, held = (ACCOUNT.format(team=team, kind=kind) for kind in ("available", "held"))
    folder = f"'queued-{job}/' || {rows.hex()}"
    size = {"width": str(SIDES[0]), "height": str(SIDES[1]), "source_bytes": "100"}
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # No triggers: checking each row at the commit takes minutes, and isn't what is measured.
            cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            rows.insert(
                Job,
                jobs,
                id=f"{job} + i",
                team_id=team,
                created_by_id=str(system.user.pk),
                request_id=rows.uuid(f"i + {job}"),
                name="'photo.png'",
                content_type="'image/png'",
                source=f"{folder} || '/source.png'",
                source_sha256=rows.hex(),
                estimated_microcredits=str(HELD),
                **size,
            )
        )
        cursor.execute(
            rows.insert(
                Transfer,
                jobs,
                id=f"{hold} + i",
                debit_id=available,
                credit_id=held,
                amount_microcredits=str(HELD),
                kind="'hold'",
                idempotency_key=f"'hold:job:' || ({job} + i) || ':1'",
                reference=f"'job:' || ({job} + i) || ':1'",
                actor_id=str(system.user.pk),
                spender_id=str(system.user.pk),
                team_id=team,
                available_microcredits="0",
            )
        )
        cursor.execute(
            rows.insert(
                Attempt, jobs, id=f"{attempt} + i", job_id=f"{job} + i", number="1", hold_id=f"{hold} + i"
            )
        )
        cursor.execute(BALANCES, [HELD, HELD, job])
        for statement in connection.ops.sequence_reset_sql(
            no_style(), [Job, Transfer, Attempt, LedgerAccount]
        ):
            cursor.execute(statement)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    _link_sources(system, f"queued-{job}", with_source)


def _link_sources(system: System, name: str, count: int) -> None:
    root = Path(settings.MEDIA_ROOT, name)
    source = root / "source.png"
    root.mkdir()
    source.write_bytes(system.picture(SIDES))
    for number in range(1, count + 1):
        folder = root / f"{number:064x}"
        folder.mkdir()
        os.link(source, folder / "source.png")
