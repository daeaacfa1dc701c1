"""Rows of the release before open books are filled in by the migrations as today's code writes them.

A story is told by today's code. Then the tables go back to what they were, the rows with them, and forward.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model
from django.utils import timezone
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.ledger import operations as ledger
from accounts.ledger import triggers
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Transfer
from conftest import World
from jobs import usage_days
from jobs.audit.reconcile import book
from jobs.calls import accounts
from jobs.models import (
    BalancePeriod,
    BalanceSnapshot,
    Batch,
    Job,
    Purchase,
    Rendition,
    UpstreamAccount,
    UsageDay,
)
from jobs.tests.audit.test_usage_rollup import booked, reused

pytestmark = pytest.mark.both_databases

BEFORE = [("accounts", "0002_credit_requests"), ("jobs", "0004_job_batch")]
BEGIN = timezone.now() - timedelta(hours=11)
Rows = list[dict[str, Any]]


@pytest.fixture
def migrated(committed_world: World) -> Iterator[MigrationExecutor]:
    """Leave today's tables behind, even if the test fails halfway."""
    yield MigrationExecutor(connection)
    now = MigrationExecutor(connection)
    if now.migration_plan(now.loader.graph.leaf_nodes()):
        call_command("flush", interactive=False, verbosity=0)
        call_command("migrate", verbosity=0)


@pytest.fixture
def story(committed_world: World, settings: Settings) -> World:
    """Calls below, at and above their holds by two people, a key and another team; a refund, and a debt."""
    settings.PIXIAN_API_ID = "mine"
    world = committed_world
    key = keys.create(world.team, world.bob, "shop")[0]
    batch = Batch.objects.create(id=uuid4(), team=world.team, created_by=world.alice, name="Shoes")
    first = booked(world.team, world.alice, CREDIT // 4, batch=batch)
    booked(world.charlie.memberships.get().team, world.charlie, 2 * CREDIT)
    booked(world.team, world.bob, 3 * CREDIT, api_key=key, origin="api")
    reused(first, world.bob, batch)
    Rendition.objects.create(job=first, style_sha256="0" * 64, state="made", file="x")
    usage_days.count_rendition(first)
    ledger.refund(world.team, 7, key="back", reference=f"job:{first.pk}:1", actor=world.alice, memo="ugly")
    held = [ledger.hold(world.team, CREDIT, key=f"k{n}", reference="", actor=world.bob) for n in range(3)]
    ledger.release(held[0])
    ledger.settle(held[1], CREDIT // 2, actor=world.alice, memo="decided")
    ledger.adjust(world.team, -90 * CREDIT, key="down", actor=world.alice, memo="typed twice")
    booked(world.team, world.bob, 20 * CREDIT, api_key=key, origin="api")
    ledger.grant(world.team, 50 * CREDIT, key="more", actor=world.alice)
    take_balances(world)
    return world


def take_balances(world: World) -> None:
    """Take balances of two accounts; one of them while another was under way, and one after all calls."""
    former = UpstreamAccount.objects.create(upstream="https://former.example.org").pk
    ours = accounts.current_id()
    taken = [(former, 0, 1), (former, 2, 3), (ours, 4, 5), (ours, 6, 9), (ours, 8, 10), (ours, 20, 21)]
    for account, *hours in taken:
        asked, came = (BEGIN + timedelta(hours=hour) for hour in hours)
        book.close(account, asked, came, 100 * CREDIT - hours[0], {"credits": hours[0]})
    for amount in (5, 7):
        bought = {"bought_at": BEGIN + timedelta(hours=5.5), "microcredits": amount, "note": "a pack"}
        Purchase.objects.create(account_id=ours, entered_by=world.alice, **bought)


def told() -> dict[str, Rows]:
    """Return what the migrations fill in."""
    for account in UpstreamAccount.objects.all():
        book.refresh(account.pk)
    names = ("pk", "team", "available_microcredits", "spender", "api_key")
    accounted = ("pk", "account__upstream", "account__api_id")
    unlike = {"id", "account_id", "computed_at", "changes", "is_final"}  # keys, and times of computation
    return {
        "transfers": list(Transfer.objects.order_by("pk").values(*names)),
        "balances": list(BalanceSnapshot.objects.order_by("pk").values(*accounted)),
        "purchases": list(Purchase.objects.order_by("pk").values(*accounted)),
        "periods": _without(unlike, BalancePeriod.objects.order_by("closing").values()),
        "usage": _without(unlike, UsageDay.objects.order_by("team", "day", "bucket").values()),
    }


def _without(names: set[str], rows: Any) -> Rows:
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def indexes() -> Any:
    """Return the indexes and constraints of jobs, of which a migration drops some by hand."""
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, Job._meta.db_table)


def test_rows_from_before_are_filled_in_as_todays_code_writes_them(
    story: World, migrated: MigrationExecutor
) -> None:
    """Then an account was known by its address alone, and only holds named their key."""
    had, indexed = told(), indexes()
    assert all(had.values())
    upstream = dict(UpstreamAccount.objects.values_list("pk", "upstream"))
    models: list[type[Model]] = [BalancePeriod, BalanceSnapshot, Purchase]
    kept = {
        model.__name__: _without({"token", "entered_at"}, model._default_manager.values())
        for model in models[1:]
    }
    for model in models:
        model._default_manager.all().delete()

    old = migrated.migrate(BEFORE).apps
    triggers.unguard(connection)
    old.get_model("accounts", "Transfer").objects.exclude(kind="hold").update(api_key=None)
    for name, rows in kept.items():
        for row in rows:
            then = {"upstream": upstream[row.pop("account_id")]} | row
            old.get_model("jobs", name).objects.create(**then)

    call_command("migrate", verbosity=0)
    assert not BalancePeriod.objects.exclude(computed_at=None).exists()
    assert told() == had
    assert indexes() == indexed
    assert Purchase.objects.values("token").distinct().count() == 2
