"""Fill the tables with calls that were charged as their headers say, and return what the upstream's log says.

The database writes the rows itself, so that a million takes a minute. A call is sent each second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import connection

from accounts.ledger.money import MICROCREDITS
from accounts.models import LedgerAccount, Team, Transfer, User
from accounts.teams.create import open_team
from jobs.audit import usage_rollup
from jobs.models import Job, UpstreamAccount

HELD = 2_250_000
QUARTER = MICROCREDITS // 4
CYCLE = 8
"""Charges repeat after so many calls: a quarter of a credit to two credits."""


def charge(call: int) -> int:
    """Return what a call was charged, in micro-credits."""
    return QUARTER * (1 + call % CYCLE)


def charges_until(call: int) -> int:
    """Return what the first calls were charged together, in micro-credits."""
    cycles, rest = divmod(call, CYCLE)
    return QUARTER * (cycles * sum(range(CYCLE + 1)) + rest * (rest + 3) // 2)


@dataclass(frozen=True)
class Filled:
    """first: the key of the first job and attempt, less one."""

    account: UpstreamAccount
    team: Team
    user: User
    begin: datetime
    first: int

    def at(self, call: float) -> datetime:
        """Return when a call was sent."""
        return self.begin + timedelta(seconds=call)


def fill(calls: int, begin: datetime, upstream: str = "https://upstream.example") -> Filled:
    """Write so many calls of one team, with their jobs, holds and bookings."""
    user = User.objects.create_superuser(f"books-{uuid4().hex[:8]}@example.org")
    spent = charges_until(calls)
    team = open_team("Books", user, spent + HELD)
    account = UpstreamAccount.objects.create(upstream=upstream, first_used_at=begin)
    last_job = Job.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    told = {"calls": calls, "team": team.pk, "user": user.pk, "account": account.pk, "first": last_job}
    told |= {row.kind: row.pk for row in LedgerAccount.objects.filter(team=team)}
    told |= {"base": Transfer.objects.latest("pk").pk, "all": spent + HELD}
    with connection.cursor() as cursor:
        for statement in _statements():
            cursor.execute(statement.format(**told, **_dialect(begin, last_job)))
    available, spending = (
        LedgerAccount.objects.get_or_create(team=team, kind=kind)[0] for kind in ("available", "spent")
    )
    LedgerAccount.objects.filter(pk=available.pk).update(balance_microcredits=HELD)
    LedgerAccount.objects.filter(pk=spending.pk).update(balance_microcredits=spent)
    usage_rollup.mend(team)
    return Filled(account, team, user, begin, last_job)


def _dialect(begin: datetime, first: int) -> dict[str, str]:
    moment = f"{begin:%Y-%m-%d %H:%M:%S}"
    if connection.vendor == "postgresql":
        at = f"timestamptz '{moment}+00' + i * interval '1 second'"
        return {
            "at": at,
            "answered": f"{at} + interval '400 milliseconds'",
            "no": "false",
            "uuid": f"lpad(to_hex({first} + i), 32, '0')::uuid",
        }
    return {
        "at": f"strftime('%Y-%m-%d %H:%M:%S', '{moment}', '+' || i || ' seconds')",
        "answered": f"strftime('%Y-%m-%d %H:%M:%f000', '{moment}', '+' || (i + 0.4) || ' seconds')",
        "no": "0",
        "uuid": f"printf('%032x', {first} + i)",
    }


def _statements() -> Iterator[str]:
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < {calls})"
    )
    cost = f"({QUARTER} * (1 + i % {CYCLE}))"
    cycles, rest = f"(i / {CYCLE}) * {sum(range(CYCLE + 1))}", f"(i % {CYCLE})"
    so_far = f"({QUARTER} * ({cycles} + {rest} * ({rest} + 3) / 2))"
    job, hold = "'job:' || ({first} + i) || ':1'", "{base} + 3 * i - 2"
    yield f"""
        INSERT INTO jobs_job (id, team_id, created_by_id, origin, request_id, request_sha256, options,
          ignored, test, name, source, source_sha256, source_bytes, content_type, width, height,
          estimated_microcredits, state, reason, priority, run_after, fence, worker, result, result_sha256,
          created_at, updated_at, folder, number, original, proof)
        {numbers}
        SELECT {{first}} + i, {{team}}, {{user}}, 'browser', {{uuid}}, '', '{{{{}}}}', '[]', {{no}},
          'photo.jpg', '', '', 1, 'image/jpeg', 1000, 1000, {HELD}, 'failed', 'refused', 0, {{at}}, 1, '',
          '', '', {{at}}, {{at}}, '', 0, '', ''
        FROM n"""  # noqa: S608 - numbers of ours
    transfers = f"""
        INSERT INTO accounts_transfer (id, debit_id, credit_id, amount_microcredits, kind, idempotency_key,
          hold_id, resolution, reference, memo, created_at, team_id, actor_id, spender_id,
          available_microcredits)
        {numbers}"""
    yield f"""{transfers}
        SELECT {hold}, {{available}}, {{held}}, {HELD}, 'hold', 'hold:' || {job}, NULL, '', {job}, '', {{at}},
          {{team}}, {{user}}, {{user}}, {{all}} - ({so_far} - {cost}) - {HELD}
        FROM n"""  # noqa: S608 - numbers of ours
    yield f"""{transfers}
        SELECT {{base}} + 3 * i - 1, {{held}}, {{spent}}, {cost}, 'settle', 'settle:' || ({hold}), {hold},
          'close', {job}, '', {{answered}}, {{team}}, NULL, {{user}}, {{all}} - ({so_far} - {cost}) - {HELD}
        FROM n"""  # noqa: S608 - numbers of ours
    yield f"""{transfers}
        SELECT {{base}} + 3 * i, {{held}}, {{available}}, {HELD} - {cost}, 'release',
          'remainder:' || ({hold}), {hold}, 'remainder', {job}, '', {{answered}}, {{team}}, NULL,
          {{user}}, {{all}} - {so_far}
        FROM n"""  # noqa: S608 - numbers of ours
    yield f"""
        INSERT INTO jobs_attempt (id, job_id, number, state, sends, hold_id, test, account_id, prepared_at,
          sent_at, answered_at, ended_at, status, headers, charged_header, charged_microcredits,
          error_message, doubt, booking_failures, booking_error, review_note)
        {numbers}
        SELECT {{first}} + i, {{first}} + i, 1, 'booked', 1, {hold}, {{no}}, {{account}}, {{at}}, {{at}},
          {{answered}}, {{answered}}, 200, '[]', '' || {cost}, {cost}, '', '', 0, '', ''
        FROM n"""  # noqa: S608 - numbers of ours
