"""``adjust``: correct a team's credits, with an author and a reason, and errors that say what to change."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Adjustment, AuditEntry, Transfer, User
from conftest import World

pytestmark = pytest.mark.both_databases

BY_ALICE = ("--by", "alice@example.org")
WHY = ("--why", "blank picture")


def adjust(*arguments: str) -> dict[str, Any]:
    """Return what the command printed, which is one line of JSON."""
    out = io.StringIO()
    call_command("adjust", *arguments, stdout=out)
    (line,) = out.getvalue().splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_credits_are_added_and_both_balances_printed(world: World) -> None:
    zero = {"held": "0", "spent": "0", "owed": "0"}
    assert adjust("aurora", "12.000001", "--why", " blank picture ", "--by", "Alice@example.org") == {
        "team": "Aurora",
        "slug": "aurora",
        "adjusted": "12.000001",
        "before": {"available": "100"} | zero,
        "after": {"available": "112.000001"} | zero,
    }
    made = ledger.transfers(world.team)[0]
    assert (made.kind, made.actor, made.memo) == ("adjust", world.alice, "blank picture")


def test_each_run_takes_anew(world: World) -> None:
    for _ in range(2):
        adjust("aurora", "-2.5", *WHY, *BY_ALICE)
    assert ledger.balances(world.team) == Balances(available=95 * CREDIT)
    assert [transfer.amount_microcredits for transfer in ledger.transfers(world.team)[:2]] == [2_500_000] * 2


def test_what_is_owed_is_covered_first(world: World) -> None:
    ledger.settle(ledger.hold(world.team, 100 * CREDIT, key="hold", reference=""), 103 * CREDIT)
    answer = adjust("aurora", "5", *WHY, *BY_ALICE)
    assert (answer["before"]["owed"], answer["after"]["owed"], answer["after"]["available"]) == (
        "3",
        "0",
        "2",
    )


def test_what_is_not_available_is_not_taken(world: World) -> None:
    ledger.hold(world.team, 90 * CREDIT, key="hold", reference="")
    with pytest.raises(CommandError, match="Aurora has only 10 available; take that much or less"):
        adjust("aurora", "-10.000001", *WHY, *BY_ALICE)
    assert ledger.balances(world.team) == Balances(available=10 * CREDIT, held=90 * CREDIT)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere", "5", *WHY, *BY_ALICE], "No team has the slug 'nowhere'"),
        (["aurora", "5", *WHY, "--by", "nobody@example.org"], "Nobody with the address"),
        (["aurora", "5", *WHY, "--by", "bob@example.org"], "bob@example.org is neither staff nor a manager"),
        (["aurora", "5", *WHY, "--by", "charlie@example.org"], "neither staff nor a manager of Aurora"),
        (["aurora", "5", *WHY], "--by"),
        (["aurora", "5", *BY_ALICE], "--why"),
        (["aurora", "5", "--why", " ", *BY_ALICE], "say why"),
        (["aurora", "5", "--why", "x" * 401, *BY_ALICE], "400 characters"),
        (["aurora", "0", *WHY, *BY_ALICE], "changes nothing"),
        (["aurora", "-0.000000", *WHY, *BY_ALICE], "changes nothing"),
        (["aurora", "1e3", *WHY, *BY_ALICE], "not a number"),
        (["aurora", "-0.0000001", *WHY, *BY_ALICE], "not a number"),
        (["aurora", "-9007199255", *WHY, *BY_ALICE], "out of range"),
    ],
)
def test_what_is_wrong_is_said_and_writes_nothing(world: World, arguments: list[str], complaint: str) -> None:
    before = Transfer.objects.count()
    with pytest.raises(CommandError, match=complaint):
        adjust(*arguments)
    assert Transfer.objects.count() == before


def test_a_large_one_waits_for_a_second_person(world: World, settings: Settings) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = 5 * CREDIT
    answer = adjust("aurora", "-5.000001", *WHY, *BY_ALICE)
    waiting = Adjustment.objects.get()
    assert (answer["adjusted"], answer["before"]) == ("0", answer["after"])
    assert (answer["waits_for_a_second_person"], answer["adjustment"]) == ("-5.000001", waiting.pk)
    assert (waiting.microcredits, waiting.asked_by) == (-5_000_001, world.alice)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)
    adjust("aurora", "5", *WHY, *BY_ALICE)
    assert ledger.balances(world.team) == Balances(available=105 * CREDIT)


def test_the_audit_log_says_who_and_why(world: World) -> None:
    adjust("aurora", "2", *WHY, *BY_ALICE)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.reason, entry.request_id) == (
        "adjust",
        world.alice,
        "blank picture",
        "",
    )


def test_staff_adjusts_any_team(world: World) -> None:
    User.objects.create_user("staff@example.org", is_staff=True)
    assert adjust("aurora", "1", *WHY, "--by", "staff@example.org")["after"]["available"] == "101"


def test_a_user_who_may_not_log_in_adjusts_nothing(world: World) -> None:
    User.objects.filter(pk=world.alice.pk).update(is_active=False)
    with pytest.raises(CommandError, match="Nobody with the address"):
        adjust("aurora", "5", *WHY, *BY_ALICE)
