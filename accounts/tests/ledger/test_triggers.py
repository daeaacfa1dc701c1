"""The database's own refusal: raw SQL can't touch a transfer, however the table came about."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from accounts.ledger import triggers
from accounts.models import Transfer
from conftest import World

pytestmark = pytest.mark.both_databases

CHANGES = [
    "DELETE FROM accounts_transfer",
    "UPDATE accounts_transfer SET amount_microcredits = amount_microcredits + 1",
    "UPDATE accounts_transfer SET memo = 'another reason'",
]
if connection.vendor == "postgresql":
    CHANGES.append("TRUNCATE accounts_transfer CASCADE")  # no row's trigger sees it


def run(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize("sql", CHANGES)
def test_raw_sql_is_refused(committed_world: World, sql: str) -> None:
    before = list(Transfer.objects.values())
    assert before
    with pytest.raises(DatabaseError, match="never changed or deleted"):
        run(sql)
    assert list(Transfer.objects.values()) == before


def test_without_the_guard_it_goes_through(world: World) -> None:
    """The control: nothing but the triggers stands in the way of an update."""
    triggers.unguard(connection)
    run(CHANGES[1])
    assert Transfer.objects.filter(amount_microcredits__endswith="1").exists()


def test_every_migrate_puts_the_guard_up_again(world: World) -> None:
    triggers.unguard(connection)
    call_command("migrate", verbosity=0)
    with pytest.raises(DatabaseError, match="never changed"):
        run(CHANGES[0])


def test_putting_it_up_twice_is_fine(world: World) -> None:
    triggers.guard(connection)
    with pytest.raises(DatabaseError, match="never changed"):
        run(CHANGES[0])
