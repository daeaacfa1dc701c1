"""Calls of the pictures, each with its hold and what ends it, and the ledger's balances."""

from collections.abc import Iterator

from accounts.ledger.money import MICROCREDITS
from accounts.models import Transfer
from bench.speed.many_rows.owners import FAILED, GRANTED, IN_DOUBT, OVER, Owners
from jobs.models import Attempt

BY_OTHERS = "(CASE WHEN (i / 20) % 7 = 0 THEN 20 * (i / 140) + i % 20 ELSE 20 * ((i / 20 + 6) / 7) - 1 END)"
"""Count of the first i pictures that are the other team's."""
OVERAGES = "((i + 4969) / 5000)"
SPENT = f"(i - {BY_OTHERS} - (i / 1000 - i / 7000) + ({OVERAGES} - ({OVERAGES} + 2) / 7))"
SPENT_BY_OTHERS = f"({BY_OTHERS} - i / 7000 + ({OVERAGES} + 2) / 7)"
"""How many credits each has spent by then; each picture costs one, and one more as an overage."""


def statements(owners: Owners) -> Iterator[str]:
    yield from transfers(owners)
    yield from (balances(owners), attempts(owners))


def transfer(
    owners: Owners, place: int, kind: str, where: str, debit: str, credit: str, **columns: str
) -> str:
    """Fill one of the four places that each picture has; ``hold`` has the first."""
    given = {
        "id": f"{owners.hold} + {place}",
        "debit_id": owners.of_team(str(owners.ledger[debit]), str(owners.others[debit])),
        "credit_id": owners.of_team(str(owners.ledger[credit]), str(owners.others[credit])),
        "amount_microcredits": str(MICROCREDITS),
        "kind": f"'{kind}'",
        "idempotency_key": f"'{kind}:job:' || i || ':1'",
        "reference": "'job:' || i || ':1'",
        "actor_id": owners.spender,
        "api_key_id": owners.api_key,
        "team_id": owners.whose,
        "spender_id": owners.spender,
        "available_microcredits": left(owners),
    }
    return owners.rows.insert(Transfer, owners.jobs, where, **given | columns)


def left(owners: Owners) -> str:
    """Return what the i-th picture's team has left after it."""
    return f"{GRANTED} - {MICROCREDITS} * {owners.of_team(SPENT, SPENT_BY_OTHERS)}"


def transfers(owners: Owners) -> Iterator[str]:
    """Yield each picture's hold and what ends it."""
    during = (
        f"{left(owners)} - CASE WHEN {FAILED} THEN {MICROCREDITS} WHEN {OVER} THEN -{MICROCREDITS} ELSE 0 END"
    )
    ends = {"hold_id": owners.hold, "resolution": "'close'"}
    settled = f"NOT ({FAILED}) AND NOT ({IN_DOUBT})"
    excess = ends | {"resolution": "'excess'", "available_microcredits": during}
    yield transfer(owners, 0, "hold", "1 = 1", "available", "held", available_microcredits=during)
    yield transfer(owners, 1, "settle", settled, "held", "spent", **ends | {"available_microcredits": during})
    yield transfer(owners, 1, "release", FAILED, "held", "available", **ends)
    yield transfer(owners, 2, "overage", OVER, "owed", "spent", **excess)
    yield transfer(owners, 3, "adjust", OVER, "available", "owed", memo="'covers an overage'")


def balances(owners: Owners) -> str:
    moved = "SELECT COALESCE(SUM(amount_microcredits), 0) FROM accounts_transfer WHERE"
    touched = ", ".join(map(str, [*owners.ledger.values(), *owners.others.values()]))
    return (
        "UPDATE accounts_ledgeraccount SET balance_microcredits = "  # noqa: S608
        f"({moved} credit_id = accounts_ledgeraccount.id) - ({moved} debit_id = accounts_ledgeraccount.id) "
        f"WHERE id IN ({touched})"
    )


def attempts(owners: Owners) -> str:
    return owners.rows.insert(
        Attempt,
        owners.jobs,
        id="i",
        job_id="i",
        number="1",
        state=f"CASE WHEN {IN_DOUBT} THEN 'in_doubt' WHEN {FAILED} THEN 'released' ELSE 'booked' END",
        sends="1",
        hold_id=owners.hold,
        account_id=str(owners.account),
        sent_at=owners.rows.at(),
        answered_at=owners.rows.at(),
        ended_at=owners.rows.at(),
        status=f"CASE WHEN {FAILED} THEN 400 ELSE 200 END",
        error_code=f"CASE WHEN {FAILED} THEN 1006 END",
        charged_header=f"CASE WHEN NOT ({IN_DOUBT}) THEN '1.000000' END",
        charged_microcredits=f"CASE WHEN NOT ({IN_DOUBT}) THEN {MICROCREDITS} END",
        doubt=f"CASE WHEN {IN_DOUBT} THEN 'unanswered' ELSE '' END",
    )
