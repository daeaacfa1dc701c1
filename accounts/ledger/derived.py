"""Recompute the columns of transfers that follow from others, and let a statement be read by an index."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection

# One pass over the table. The transfer that covers an overage ends no hold, and names it in its key.
FIND = """
SELECT * FROM (
    SELECT transfer.id,
        transfer.team_id, COALESCE(debit.team_id, credit.team_id) AS moved_team_id,
        transfer.spender_id,
        CASE WHEN transfer.kind = 'hold' THEN transfer.actor_id ELSE hold.actor_id END AS holder_id,
        transfer.api_key_id,
        CASE WHEN transfer.kind = 'hold' THEN transfer.api_key_id ELSE hold.api_key_id END AS holding_key_id,
        transfer.available_microcredits,
        SUM(CASE WHEN debit.kind = 'available' THEN -transfer.amount_microcredits
                 WHEN credit.kind = 'available' THEN transfer.amount_microcredits ELSE 0 END)
            OVER (PARTITION BY COALESCE(debit.team_id, credit.team_id) ORDER BY transfer.id) AS added_up
    FROM accounts_transfer transfer
    JOIN accounts_ledgeraccount debit ON debit.id = transfer.debit_id
    JOIN accounts_ledgeraccount credit ON credit.id = transfer.credit_id
    LEFT JOIN accounts_transfer hold ON hold.id = COALESCE(transfer.hold_id,
        CASE WHEN transfer.kind = 'adjust' AND SUBSTR(transfer.idempotency_key, 1, 7) = 'covers:'
             THEN CAST(SUBSTR(transfer.idempotency_key, 8) AS bigint) END)
) recomputed
WHERE team_id <> moved_team_id OR available_microcredits <> added_up
    OR COALESCE(spender_id, 0) <> COALESCE(holder_id, 0)
    OR COALESCE(api_key_id, 0) <> COALESCE(holding_key_id, 0)
ORDER BY id
"""
AT_ONCE = 100


class Difference(NamedTuple):
    """A transfer as it is stored and as it follows from others. Keys of rows; micro-credits."""

    transfer: int
    team: int
    moved_team: int
    spender: int | None
    holder: int | None
    key: int | None
    holding_key: int | None
    available: int
    added_up: int


def find_differences() -> Iterator[Difference]:
    """Yield each transfer of which a derived column differs from what it is derived from."""
    with connection.cursor() as cursor:
        cursor.execute(FIND)
        while rows := cursor.fetchmany(AT_ONCE):
            yield from (Difference(*row) for row in rows)
