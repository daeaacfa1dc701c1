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
from bench.speed.many_rows.sql import Rows
from jobs.audit import usage_rollup
from jobs.models import Attempt, Job, UpstreamAccount

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


class Seconds(Rows):
    """Rows of calls that are sent a second apart."""

    def __init__(self, begin: datetime) -> None:
        super().__init__(last=0)
        self._begin = f"{begin:%Y-%m-%d %H:%M:%S}"

    def at(self, i: str = "i") -> str:
        if connection.vendor == "postgresql":
            return f"timestamptz '{self._begin}+00' + ({i}) * interval '1 second'"
        return f"strftime('%Y-%m-%d %H:%M:%f000', '{self._begin}', '+' || ({i}) || ' seconds')"


def fill(calls: int, begin: datetime) -> Filled:
    """Write so many calls of one team, with their jobs, holds and bookings."""
    user = User.objects.create_superuser(f"books-{uuid4().hex[:8]}@example.org")
    spent = charges_until(calls)
    team = open_team("Books", user, spent + HELD)
    account = UpstreamAccount.objects.create(upstream="https://upstream.example", first_used_at=begin)
    first = Job.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    filled = Filled(account, team, user, begin, first)
    kinds = {
        kind: LedgerAccount.objects.get_or_create(team=team, kind=kind)[0]
        for kind in ("available", "held", "spent")
    }
    with connection.cursor() as cursor:
        for statement in _statements(filled, calls, {kind: str(row.pk) for kind, row in kinds.items()}):
            cursor.execute(statement)
    for kind, left in ("available", HELD), ("spent", spent):
        LedgerAccount.objects.filter(pk=kinds[kind].pk).update(balance_microcredits=left)
    usage_rollup.mend(team)
    return filled


def _statements(filled: Filled, calls: int, account: dict[str, str]) -> Iterator[str]:
    """Yield what fills the tables. account: the ledger's, by kind."""
    rows, pk, base = Seconds(filled.begin), f"{filled.first} + i", Transfer.objects.latest("pk").pk
    team, user = str(filled.team.pk), str(filled.user.pk)
    answered, hold, job = rows.at("i + 0.4"), f"{base} + 3 * i - 2", f"'job:' || ({pk}) || ':1'"
    cost = f"({QUARTER} * (1 + i % {CYCLE}))"
    cycles, last = f"(i / {CYCLE}) * {sum(range(CYCLE + 1))}", f"(i % {CYCLE})"
    left = f"{charges_until(calls) + HELD} - ({QUARTER} * ({cycles} + {last} * ({last} + 3) / 2))"
    yield rows.insert(
        Job,
        calls,
        id=pk,
        team_id=team,
        created_by_id=user,
        request_id=rows.uuid(pk),
        name="'photo.jpg'",
        content_type="'image/jpeg'",
        source_bytes="1",
        width="1000",
        height="1000",
        estimated_microcredits=str(HELD),
        state="'failed'",
        reason="'refused'",
        fence="1",
    )

    def transfer(place: int, kind: str, debit: str, credit: str, amount: str, **columns: str) -> str:
        return rows.insert(
            Transfer,
            calls,
            id=f"{base} + 3 * i - {place}",
            debit_id=account[debit],
            credit_id=account[credit],
            amount_microcredits=amount,
            kind=f"'{kind}'",
            reference=job,
            team_id=team,
            spender_id=user,
            **columns,
        )

    during, resolves = f"{left} + {cost} - {HELD}", {"hold_id": hold, "created_at": answered}
    held = {"idempotency_key": f"'hold:' || {job}", "actor_id": user, "available_microcredits": during}
    settled = {"idempotency_key": f"'settle:' || ({hold})", "resolution": "'close'"}
    rest = {"idempotency_key": f"'remainder:' || ({hold})", "resolution": "'remainder'"}
    yield transfer(2, "hold", "available", "held", str(HELD), **held)
    yield transfer(1, "settle", "held", "spent", cost, available_microcredits=during, **settled, **resolves)
    left_over = f"{HELD} - {cost}"
    yield transfer(
        0, "release", "held", "available", left_over, available_microcredits=left, **rest, **resolves
    )
    yield rows.insert(
        Attempt,
        calls,
        id=pk,
        job_id=pk,
        number="1",
        state="'booked'",
        sends="1",
        hold_id=hold,
        account_id=str(filled.account.pk),
        sent_at=rows.at(),
        answered_at=answered,
        ended_at=answered,
        status="200",
        charged_header=f"'' || {cost}",
        charged_microcredits=cost,
    )
