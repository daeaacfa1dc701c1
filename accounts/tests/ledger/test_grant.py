"""``grant``: credits for a team by an operator, each time anew, and errors that say what to change."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Transfer, User
from conftest import World

pytestmark = pytest.mark.both_databases


def grant(*arguments: str) -> dict[str, Any]:
    """Return what the command printed, which is one line of JSON."""
    out = io.StringIO()
    call_command("grant", *arguments, stdout=out)
    (line,) = out.getvalue().splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_a_team_gets_credits_and_its_balance_is_printed(world: World) -> None:
    assert grant("aurora", "12.5", "--by", "Charlie@example.org", "--memo", "for May") == {
        "team": "Aurora",
        "slug": "aurora",
        "available": "112.5",
        "held": "0",
        "spent": "0",
        "owed": "0",
    }
    made = ledger.transfers(world.team)[0]
    assert (made.kind, made.actor, made.memo) == ("grant", world.charlie, "for May")


def test_each_call_grants_anew(world: World) -> None:
    for _ in range(2):
        grant("aurora", "0.000001", "--by", "alice@example.org")
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT + 2)


def test_what_is_owed_is_covered_first(world: World) -> None:
    ledger.settle(ledger.hold(world.team, 100 * CREDIT, key="hold", reference=""), 103 * CREDIT)
    answer = grant("aurora", "5", "--by", "alice@example.org")
    assert (answer["available"], answer["owed"], answer["spent"]) == ("2", "0", "103")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere", "5", "--by", "alice@example.org"], "No team has the slug 'nowhere'"),
        (["aurora", "5", "--by", "nobody@example.org"], "Nobody with the address"),
        (["aurora", "5"], "--by"),
        (["aurora", "0", "--by", "alice@example.org"], "a grant of 0 changes nothing"),
        (["aurora", "1000000000000", "--by", "alice@example.org"], "out of range"),
        (["aurora", "1e3", "--by", "alice@example.org"], "not a number"),
        (["aurora", "1_0", "--by", "alice@example.org"], "not a number"),
        (["aurora", "1,5", "--by", "alice@example.org"], "not a number"),
        (["aurora", "0.0000001", "--by", "alice@example.org"], "not a number"),
        (["aurora", "5", "--by", "alice@example.org", "--memo", "x" * 401], "400 characters"),
    ],
)
def test_what_is_wrong_is_said_and_writes_nothing(world: World, arguments: list[str], complaint: str) -> None:
    before = Transfer.objects.count()
    with pytest.raises(CommandError, match=complaint):
        grant(*arguments)
    assert Transfer.objects.count() == before


def test_somebody_who_may_not_log_in_grants_nothing(world: World) -> None:
    User.objects.filter(pk=world.alice.pk).update(is_active=False)
    with pytest.raises(CommandError, match="Nobody with the address"):
        grant("aurora", "5", "--by", "alice@example.org")
