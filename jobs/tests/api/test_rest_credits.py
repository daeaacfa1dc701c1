"""Balance, statement and usage agree with the ledger, to the micro-credit."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.money import to_microcredits
from accounts.models import CreditRequest, Team, Transfer, User
from conftest import World, hold_of
from jobs.calls import attempts
from jobs.models import Attempt, Job
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program, begun, program_of
from jobs.tests.api.test_rest import got, ids
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

BY = ("day", "member", "key", "origin")
TAKEN = ("settle", "overage")


def micro(told: str) -> int:
    return to_microcredits(Decimal(told))


def test_the_balance_is_the_ledgers(committed_world: World, reader: Program, server: Server) -> None:
    committed_world.job()
    server.script.append(wire.answer(charged="0.250001"))
    run(server)
    committed_world.job()
    assert got(reader, "/api/balance") == {
        "available": "98.749999",
        "held": "1",
        "spent": "0.250001",
        "owed": "0",
        "allowances": [],
    }


def test_what_is_owed_is_told_without_a_sign(
    committed_world: World, reader: Program, server: Server, settings: Settings
) -> None:
    settings.CHARGE_ALARM_FACTOR = 1000
    committed_world.job()
    server.script.append(wire.answer(charged="102.5"))
    run(server)
    told = got(reader, "/api/balance")
    assert (told["available"], told["owed"], told["spent"]) == ("0", "2.5", "102.5")


def test_the_balance_names_what_bounds_the_key(committed_world: World, reader: Program) -> None:
    member = committed_world.team.memberships.get(user=committed_world.bob)
    allowances.grant(member, limit=10 * CREDIT, period="month")
    allowances.grant(reader.key, limit=2 * CREDIT, period="day", warn_percent=50)
    others = committed_world.team.memberships.get(user=committed_world.alice)
    allowances.grant(others, limit=1, period="week")
    begun(reader.key)
    of_key, of_member = got(reader, "/api/balance")["allowances"]
    renews_at = datetime.fromisoformat(of_key.pop("renews_at"))
    assert timedelta() < renews_at - timezone.now() <= timedelta(days=1)
    assert of_key == {"of": "key", "limit": "2", "used": "1", "left": "1", "period": "day", "warns": True}
    assert (of_member["of"], of_member["used"], of_member["left"]) == ("member", "1", "9")
    assert (of_member["period"], of_member["warns"]) == ("month", False)


def test_the_statement_tells_each_movement(committed_world: World, reader: Program, server: Server) -> None:
    job = begun(reader.key)
    ledger.settle(hold_of(job.last_attempt), 400_000, actor=committed_world.alice, memo="looked it up")
    released, settled, held, granted = got(reader, "/api/ledger")["items"]
    key = {"id": reader.key.api_id, "name": "shop"}
    assert settled.pop("at").startswith(f"{timezone.now():%Y-}")
    assert settled == {
        "id": settled["id"],
        "kind": "settle",
        "amount": "0.4",
        "debit": "held",
        "credit": "spent",
        "available_after": "99",
        "hold": held["id"],
        "reference": held["reference"],
        "who": "bob@example.org",
        "key": key,
        "decided_by": "alice@example.org",
        "memo": "looked it up",
    }
    assert (held["kind"], held["amount"], held["who"], held["key"]) == ("hold", "1", "bob@example.org", key)
    assert (held["hold"], held["decided_by"]) == (None, None)
    assert (released["kind"], released["amount"], released["hold"]) == ("release", "0.6", held["id"])
    assert (granted["kind"], granted["amount"], granted["debit"]) == ("grant", "100", "issued")
    assert [line["available_after"] for line in (released, held, granted)] == ["99.6", "99", "100"]
    assert (granted["who"], granted["key"]) == ("alice@example.org", None)


def test_a_grant_without_a_note_tells_who_asked(committed_world: World, reader: Program) -> None:
    team, bob = committed_world.team, committed_world.bob
    for memo in ("", "bob@example.org"):  # as it was written before
        asked = CreditRequest.objects.create(team=team, asked_by=bob, microcredits=CREDIT, batch=uuid4())
        ledger.grant(team, CREDIT, key=f"request:{asked.pk}", actor=committed_world.alice, memo=memo)
    User.objects.filter(pk=bob.pk).update(email="deleted@people.invalid")
    assert [line["memo"] for line in got(reader, "/api/ledger?limit=2")["items"]] == [
        "deleted@people.invalid"
    ] * 2


def lines(team: Team) -> list[int]:
    return list(ledger.transfers(team).values_list("pk", flat=True))


@pytest.mark.parametrize("meanwhile", [False, True])
def test_the_statements_pages_neither_skip_nor_repeat(
    committed_world: World, reader: Program, meanwhile: bool
) -> None:
    for number in range(6):
        ledger.grant(committed_world.team, CREDIT, key=f"more:{number}")
    before, told, address = lines(committed_world.team), [], "/api/ledger?limit=3"
    for number in itertools.count():
        page = got(reader, address)
        told += ids(page)
        address = page["next"]
        if address is None:
            break
        if meanwhile:
            ledger.grant(committed_world.team, CREDIT, key=f"meanwhile:{number}")
    assert told == before


def test_the_statement_is_the_teams_own(committed_world: World, reader: Program) -> None:
    others = committed_world.charlie.memberships.get().team
    assert ids(got(reader, "/api/ledger")) == lines(committed_world.team)
    with program_of(others, committed_world.charlie) as outsider:
        assert ids(got(outsider, "/api/ledger")) == lines(others)
        assert got(outsider, "/api/usage")["total"]["jobs"] == 0


@pytest.fixture
def told_story(committed_world: World, program: Program, server: Server) -> Program:
    """Spend by two keys, a browser and the drop-in, then give something back.

    Over the hold, under it, to the micro-credit, in test mode and in vain.
    """
    team, alice = committed_world.team, committed_world.alice
    server.script += [wire.answer(charged="0.333333"), wire.answer(charged="1.000001"), wire.error(400, 1006)]
    for _ in range(3):
        program.call()
    server.script += [wire.answer(charged="0.000000")]
    program.call(fields={"test": "true"})
    with program_of(team, alice) as other:
        server.script += [wire.answer(charged="0.000001"), wire.answer(charged="0.5")]
        other.call()
        other.http.post("/v1.0/removebg", files={"image_file": ("a.png", wire.picture("blue"))})
    committed_world.job()
    server.script += [wire.answer(charged="2.25")]
    run(server)
    committed_world.job()  # held only
    ledger.adjust(team, 100_000, key="back", actor=alice, memo="it was ugly")
    return program


def taken(team: Team) -> int:
    rows = Transfer.objects.filter(credit__team=team, kind__in=TAKEN)
    return sum(rows.values_list("amount_microcredits", flat=True))


@pytest.mark.parametrize("by", BY)
def test_usage_is_what_the_ledger_took(committed_world: World, told_story: Program, by: str) -> None:
    told = got(told_story, "/api/usage", by=by)
    spent = ledger.balances(committed_world.team).spent
    assert spent == taken(committed_world.team) > 3 * CREDIT
    assert micro(told["total"]["credits"]) == spent
    assert sum(micro(part["credits"]) for part in told["parts"]) == spent
    assert told["by"] == by
    assert sum(part["jobs"] for part in told["parts"]) == told["total"]["jobs"] == 5


def parts(program: Program, by: str) -> dict[Any, tuple[str, int]]:
    told = got(program, "/api/usage", by=by)["parts"]
    return {part["group"]: (part["credits"], part["jobs"]) for part in told}


def test_usage_is_parted(committed_world: World, told_story: Program) -> None:
    other = committed_world.alice.api_keys.get()
    own = ("1.333334", 2)
    assert parts(told_story, "member") == {
        "alice@example.org": ("2.750001", 3),
        "bob@example.org": own,
    }
    assert parts(told_story, "key") == {
        None: ("2.25", 1),
        other.api_id: ("0.500001", 2),
        told_story.key.api_id: own,
    }
    assert parts(told_story, "origin") == {
        "api": ("1.333335", 3),
        "browser": ("2.25", 1),
        "drop_in": ("0.5", 1),
    }
    assert len(parts(told_story, "day")) in (1, 2)


def test_usage_equals_the_statement(told_story: Program) -> None:
    told = got(told_story, "/api/ledger", limit=100)
    assert told["next"] is None
    amounts = [micro(line["amount"]) for line in told["items"] if line["kind"] in TAKEN]
    assert sum(amounts) == micro(got(told_story, "/api/usage")["total"]["credits"])


def booked_at(world: World, monkeypatch: pytest.MonkeyPatch, when: datetime, amount: int) -> None:
    attempt = world.job().last_attempt
    columns = {"state": "answered", "sent_at": when, "charged_microcredits": amount}
    Attempt.objects.filter(pk=attempt.pk).update(**columns)
    attempt.refresh_from_db()
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: when)
        attempts.book(attempt)


def test_days_are_whole_and_both_included(
    committed_world: World, reader: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = datetime(2026, 11, 5, tzinfo=UTC)
    for hours, amount in ((0, 1), (23.999, 20), (24, 300), (-0.001, 4_000)):
        booked_at(committed_world, monkeypatch, midnight + timedelta(hours=hours), amount)
    days = {"since": "2026-11-05", "until": "2026-11-05"}
    told = got(reader, "/api/usage", **days)
    assert [(part["group"], part["credits"]) for part in told["parts"]] == [("2026-11-05", "0.000021")]
    told = got(reader, "/api/usage", since="2026-11-04", until="2026-11-06")
    assert [(part["group"], part["credits"]) for part in told["parts"]] == [
        ("2026-11-04", "0.004"),
        ("2026-11-05", "0.000021"),
        ("2026-11-06", "0.0003"),
    ]
    kinds = [line["kind"] for line in got(reader, "/api/ledger", **days)["items"]]
    assert sorted(kinds) == ["release", "release", "settle", "settle"]


@pytest.mark.parametrize("address", ["/api/ledger", *(f"/api/usage?by={by}" for by in BY)])
def test_more_rows_cost_no_more_queries(committed_world: World, reader: Program, address: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            got(reader, address)
        return len(captured)

    def spend(times: int) -> None:
        for _ in range(times):
            ledger.settle(hold_of(begun(reader.key).last_attempt), CREDIT)
            Job.objects.update(state=Job.State.FAILED, lease_until=None)  # it is in nobody's hands

    spend(2)
    got(reader, address)  # notes that the key is used
    few = queries()
    spend(4)
    assert queries() == few
