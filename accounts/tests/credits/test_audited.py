"""The audit log says who granted, corrected, limited or decided what, in the transaction that did it."""

from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import audit_log
from accounts.api_keys import keys
from accounts.credits import requests
from accounts.credits.requests import Decision
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import AuditEntry, CreditRequest, Transfer, User
from accounts.tests.teams.team_pages import log_in, of, page
from conftest import World

pytestmark = pytest.mark.both_databases


def entry() -> AuditEntry:
    return AuditEntry.objects.select_related("actor", "team").get()


def said(found: AuditEntry) -> tuple[str, str, str]:
    return found.action, str(found.actor), str(found.team)


def grant(client: Client, world: World, token: str) -> None:
    client.post(page(world, "grant_credits"), {"token": token, "credits": "5", "note": "shoes"})


def test_a_grant_by_the_form_once(world: World, client: Client) -> None:
    client.force_login(User.objects.create_user("root@example.org", is_staff=True))
    token = str(uuid4())
    grant(client, world, token)
    grant(client, world, token)
    found = entry()
    assert said(found) == ("grant", "root@example.org", "Aurora")
    assert found.subject == f"transfer:{Transfer.objects.get(kind='grant', memo='shoes').pk}"
    assert found.reason == "shoes"
    assert found.request_id
    assert (found.before["available"], found.after["available"]) == (100 * CREDIT, 105 * CREDIT)


def test_the_commands_name_who_ran_them(world: World) -> None:
    call_command("grant", "aurora", "5", "--by", "alice@example.org", "--memo", "paid")
    call_command("adjust", "aurora", "-2", "--by", "alice@example.org", "--why", "typed twice")
    granted, adjusted = AuditEntry.objects.order_by("pk")
    assert (said(granted), granted.reason) == (("grant", "alice@example.org", "Aurora"), "paid")
    assert (said(adjusted), adjusted.reason) == (("adjust", "alice@example.org", "Aurora"), "typed twice")
    assert (adjusted.before["available"], adjusted.after["available"]) == (105 * CREDIT, 103 * CREDIT)


def test_what_was_refused_is_not_in_it(world: World) -> None:
    with pytest.raises(CommandError):
        call_command("adjust", "aurora", "-200", "--by", "alice@example.org", "--why", "too much")
    assert not AuditEntry.objects.exists()


def test_a_request_that_staff_grant(world: World) -> None:
    asked = requests.ask(world.team, world.bob, 40 * CREDIT)
    requests.decide(asked, Decision(30 * CREDIT, "that must do"), world.alice)
    found = entry()
    assert said(found) == ("grant_request", "alice@example.org", "Aurora")
    assert (found.subject, found.reason) == (f"request:{asked.pk}", "that must do")
    assert found.before == {"asked_microcredits": 40 * CREDIT, "available": 100 * CREDIT}
    assert found.after == {"granted_microcredits": 30 * CREDIT, "available": 130 * CREDIT}


def test_an_allowance_set_changed_and_lifted(world: World, client: Client) -> None:
    log_in(client, "alice")
    bob = of(world.bob, world.team)
    values = {"credits": "8.5", "period": "week", "warn_percent": "75"}
    client.post(page(world, "allowance", bob.pk), values)
    client.post(page(world, "allowance", bob.pk), values | {"credits": "9"})
    for _ in range(2):  # nothing is lifted the second time
        client.post(page(world, "lift_allowance", bob.pk))
    made, changed, lifted = AuditEntry.objects.order_by("pk")
    stored = {"limit_microcredits": 8_500_000, "period": "week", "warn_percent": 75}
    other = stored | {"limit_microcredits": 9 * CREDIT}
    assert [(each.before, each.after) for each in (made, changed, lifted)] == [
        ({}, stored),
        (stored, other),
        (other, {}),
    ]
    assert {(each.action, each.subject) for each in (made, changed, lifted)} == {
        ("allowance", f"user:{world.bob.pk}")
    }


def test_a_keys_allowance(world: World, client: Client) -> None:
    key = keys.create(world.team, world.bob, "shop")[0]
    log_in(client, "alice")
    client.post(page(world, "key_allowance", key.pk), {"credits": "1", "period": "day", "warn_percent": "80"})
    client.post(page(world, "lift_key_allowance", key.pk))
    assert [each.subject for each in AuditEntry.objects.all()] == [f"api_key:{key.pk}"] * 2


def test_without_its_entry_nothing_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = requests.ask(world.team, world.bob, 40 * CREDIT)

    def fail(*_args: Any, **_values: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(audit_log, "record", fail)
    with pytest.raises(RuntimeError):
        requests.decide(asked, Decision(30 * CREDIT), world.alice)
    assert ledger.balances(world.team).available == 100 * CREDIT
    assert CreditRequest.objects.waiting().exists()
