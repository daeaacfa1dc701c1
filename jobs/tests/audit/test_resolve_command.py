"""``manage.py resolve``: what it books, and each thing that it refuses."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Transfer, User
from conftest import World
from jobs.models import Attempt
from jobs.tests import upstream as wire
from jobs.tests.audit.test_review import in_doubt, rows
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

WHY = ("--why", "the invoice of May", "--by", "alice@example.org")


def resolve(*arguments: str) -> str:
    out = io.StringIO()
    call_command("resolve", *arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str) -> str:
    """Return the text of the refusal; nothing may have been written."""
    before = rows()
    with pytest.raises(CommandError) as caught:
        resolve(*arguments)
    assert rows() == before
    return str(caught.value)


def test_a_charge_is_booked_and_the_balances_are_printed(world: World, server: Server) -> None:
    attempt = in_doubt(world, server)
    said = resolve(str(attempt.pk), "--charged", "0.75", *WHY)
    assert said.splitlines() == [
        "settle 0.75",
        "release 0.25",
        "Aurora: available 99.25, held 0, spent 0.75, owed 0",
    ]
    settled = Transfer.objects.get(kind="settle")
    assert (settled.actor, settled.memo) == (world.alice, "the invoice of May")


def test_no_charge(world: World, server: Server) -> None:
    attempt = in_doubt(world, server)
    said = resolve(f"{attempt.job_id}/{attempt.number}", "--not-charged", *WHY)
    assert said.splitlines()[0] == "release 1"
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_an_attempt_is_found_as_it_is_shown(world: World, server: Server) -> None:
    attempt = in_doubt(world, server)
    resolve(str(attempt).split()[0], "--charged", "2", *WHY)
    assert Attempt.objects.get().known_microcredits == 2 * CREDIT


@pytest.mark.parametrize("email", ["root@example.org", "ALICE@example.org"])
def test_staff_and_managers_may(world: World, server: Server, email: str) -> None:
    User.objects.create_superuser("root@example.org")
    attempt = in_doubt(world, server)
    resolve(str(attempt.pk), "--not-charged", "--why", "asked", "--by", email)
    assert Attempt.objects.get().state == "released"


@pytest.mark.parametrize(
    ("email", "complaint"),
    [
        ("bob@example.org", "bob@example.org is neither staff nor a manager of Aurora"),
        ("charlie@example.org", "neither staff nor a manager"),
        ("nobody@example.org", "No active user has the address nobody@example.org"),
        ("", "No active user has the address"),
    ],
)
def test_others_may_not(world: World, server: Server, email: str, complaint: str) -> None:
    attempt = in_doubt(world, server)
    assert complaint in refused(str(attempt.pk), "--not-charged", "--why", "asked", "--by", email)


def test_nor_may_who_left(world: World, server: Server) -> None:
    attempt = in_doubt(world, server)
    User.objects.filter(pk=world.alice.pk).update(is_active=False)
    assert "No active user" in refused(str(attempt.pk), "--not-charged", *WHY)


@pytest.mark.parametrize("name", ["77", "77/1", "1/77", "x", "1/", "/1", "1/1/1", "-1", "٣", "9" * 30, ""])
def test_an_attempt_that_is_not_there(world: World, server: Server, name: str) -> None:
    in_doubt(world, server)
    complaint = refused(f"{name}", "--not-charged", *WHY)
    assert "no attempt" in complaint or "neither the number" in complaint or "required" in complaint


def test_one_that_is_not_in_doubt(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.answer())
    run(server)
    said = refused(str(Attempt.objects.get().pk), "--not-charged", *WHY)
    assert "isn't in doubt, so nothing was booked" in said


@pytest.mark.parametrize(
    ("amounts", "complaint"),
    [
        ([], "one of the arguments --charged --not-charged --as-estimated --as-balance is required"),
        (["--charged", "1", "--not-charged"], "not allowed with"),
        (["--charged", "0"], "use --not-charged"),
        (["--charged", "-1"], "out of range"),
        (["--charged", "0.0000001"], "at most six decimals"),
        (["--charged", "1,5"], "at most six decimals"),
        (["--charged", "NaN"], "at most six decimals"),
        (["--charged", "1000000000000"], "out of range"),
        (["--charged", "1e999999"], "--charged"),
    ],
)
def test_what_was_charged_is_said_in_one_way(
    world: World, server: Server, amounts: list[str], complaint: str
) -> None:
    attempt = in_doubt(world, server)
    assert complaint in refused(str(attempt.pk), *amounts, *WHY)


@pytest.mark.parametrize("why", [[], ["--why", ""], ["--why", "  "], ["--why", "x" * 401]])
def test_a_reason_is_given(world: World, server: Server, why: list[Any]) -> None:
    attempt = in_doubt(world, server)
    complaint = refused(str(attempt.pk), "--not-charged", *why, "--by", "alice@example.org")
    assert "--why" in complaint or "reason" in complaint
