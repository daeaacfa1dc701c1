"""The database's own refusal: nothing changes a transfer or an audit entry, by SQL, the ORM or the admin."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test import Client
from django.urls import reverse

from accounts import audit_log
from accounts.audit_log import Action
from accounts.ledger import triggers
from accounts.models import AuditEntry, Transfer, User
from conftest import World

pytestmark = pytest.mark.both_databases

CHANGES = [
    "DELETE FROM accounts_transfer",
    "UPDATE accounts_transfer SET amount_microcredits = amount_microcredits + 1",
    "UPDATE accounts_transfer SET memo = 'another reason'",
    "DELETE FROM accounts_auditentry",
    "UPDATE accounts_auditentry SET reason = 'another reason'",
    "UPDATE accounts_auditentry SET actor_id = actor_id + 1",
]
if connection.vendor == "postgresql":
    # No row's trigger sees these.
    CHANGES += ["TRUNCATE accounts_transfer CASCADE", "TRUNCATE accounts_auditentry CASCADE"]


def run(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize("sql", CHANGES)
def test_raw_sql_is_refused(committed_world: World, sql: str) -> None:
    record(committed_world)
    before = kept()
    assert len(before) > 1
    with pytest.raises(DatabaseError, match="never changed or deleted"):
        run(sql)
    assert kept() == before


def record(world: World) -> None:
    audit_log.record(Action.ADJUST, "team:1", actor=world.alice, team=world.team, reason="asked")


def kept() -> list[Any]:
    return [row for model in (Transfer, AuditEntry) for row in model._default_manager.order_by("pk").values()]


def _saved(row: Any) -> None:
    row.pk, row.actor_id = row.pk, None if isinstance(row, Transfer) else row.actor_id
    row.save()


ORM: dict[str, Callable[[Any], Any]] = {
    "update": lambda model: (
        model.objects.update(created_at=None) if model is Transfer else model.objects.update(reason="")
    ),
    "update by an expression": lambda model: model.objects.update(team_id=F("team_id")),
    "bulk_update": lambda model: model.objects.bulk_update(model.objects.all(), ["team"]),
    "save": lambda model: _saved(model.objects.first()),
    "update_or_create": lambda model: model.objects.update_or_create(
        pk=model.objects.first().pk, defaults={"actor": User.objects.get(email="bob@example.org")}
    ),
    "delete": lambda model: model.objects.first().delete(),
    "delete all": lambda model: model.objects.all().delete(),
    "delete as raw rows": lambda model: model.objects.all()._raw_delete("default"),
    "delete with the person": lambda _model: User.objects.get(email="alice@example.org").delete(),
}


@pytest.mark.parametrize("way", ORM)
@pytest.mark.parametrize("model", [Transfer, AuditEntry])
def test_the_orm_is_refused(world: World, model: Any, way: str) -> None:
    record(world)
    before = kept()
    with pytest.raises(DatabaseError), transaction.atomic():
        ORM[way](model)
    assert kept() == before


@pytest.mark.parametrize("model", ["transfer", "auditentry"])
@pytest.mark.parametrize("page", ["add", "change", "delete"])
def test_the_admin_is_refused(world: World, client: Client, model: str, page: str) -> None:
    """For a superuser too, and whatever is sent; its list has no action that writes."""
    record(world)
    client.force_login(User.objects.create_superuser("root@example.org"))
    row = {"transfer": Transfer, "auditentry": AuditEntry}[model]._default_manager.first()
    assert row
    before = kept()
    address = reverse(f"admin:accounts_{model}_{page}", args=[] if page == "add" else [row.pk])
    assert client.post(address, {"reason": "x", "memo": "x", "post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    client.post(reverse(f"admin:accounts_{model}_changelist"), chosen)
    assert client.get(reverse(f"admin:accounts_{model}_change", args=[row.pk])).status_code == 200
    assert kept() == before


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
