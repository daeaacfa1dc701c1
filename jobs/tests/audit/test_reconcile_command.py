"""``manage.py reconcile``: verdicts, periods, and decisions by the balance."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Transfer
from conftest import World
from jobs.audit import review
from jobs.calls import accounts
from jobs.models import Attempt, BalanceSnapshot, Job, Purchase
from jobs.tests import upstream as wire
from jobs.tests.upstream import CREDENTIALS, Server, charged_in_silence, run

pytestmark = pytest.mark.both_databases

BY = ("--by", "alice@example.org")


@pytest.fixture
def paid_server(server: Server, settings: Settings) -> Server:
    """The upstream of the settings, for commands that connect by themselves, with a true balance."""
    server.account_body = None
    settings.PIXIAN_EMBEDDED = False
    settings.PIXIAN_API_URL = server.url
    settings.PIXIAN_API_ID, settings.PIXIAN_API_SECRET = CREDENTIALS.api_id, CREDENTIALS.api_secret
    return server


def reconcile(*arguments: str) -> tuple[int, str]:
    """Return the exit status and the output."""
    out = io.StringIO()
    status = 0
    try:
        call_command("reconcile", *arguments, stdout=out)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, out.getvalue()


def told(*arguments: str) -> dict[str, Any]:
    """Return the output as data."""
    found: dict[str, Any] = json.loads(reconcile("--json", *arguments)[1])
    return found


def call(world: World, server: Server, *steps: wire.Step) -> Attempt:
    """Return the attempt of a new job that gets this response."""
    job = world.job()
    for step in steps:
        server.script.append(step)
        run(server)
    return job.attempts.latest("number")


def let_time_pass() -> None:
    """Move everything a quarter of an hour into the past, so that no call can be charged any more."""
    earlier = timedelta(minutes=15)
    for attempt in Attempt.objects.exclude(sent_at=None):
        answered = attempt.answered_at and attempt.answered_at - earlier
        assert attempt.sent_at
        changes = {"sent_at": attempt.sent_at - earlier, "answered_at": answered}
        Attempt.objects.filter(pk=attempt.pk).update(**changes)
    for snapshot in BalanceSnapshot.objects.all():
        moved = {"asked_at": snapshot.asked_at - earlier, "came_at": snapshot.came_at - earlier}
        BalanceSnapshot.objects.filter(pk=snapshot.pk).update(**moved)


def test_all_is_explained(world: World, paid_server: Server) -> None:
    reconcile()
    call(world, paid_server, wire.answer(charged="0.75"))
    call(world, paid_server, wire.error(400, 1006, "no"))
    status, said = reconcile()
    assert status == 0
    lines = said.splitlines()
    assert lines[0] == f"Balance: 999.25 credits at {paid_server.url}."
    assert lines[2].split() == ["attempts", "estimated", "held", "charged", "booked"]
    assert lines[3].split() == ["matched", "1", "1", "1", "0.75", "0.75"]
    assert lines[4].split() == ["released", "1", "1", "1", "0", "0"]
    assert "1000 − 0.75 charged by 2 calls + 0 bought, then 999.25" in said
    assert "agrees: Nothing is missing." in said
    assert lines[-1] == "Nothing is left to a person."


def test_the_balance_tells_what_the_one_in_doubt_was_charged(world: World, paid_server: Server) -> None:
    reconcile()
    lost = call(world, paid_server, charged_in_silence("0.6"))
    name = f"{lost.job_id}/1"
    assert reconcile()[0] == 1  # too early for a quiet balance
    let_time_pass()

    status, said = reconcile()
    assert status == 1
    assert f"pinned: 0.6 is missing, and only {name} can have been charged that." in said
    assert f"{name} in doubt: 1 estimated, 1 held, charge unknown, 0 booked; --settle" in said
    assert "Balances that aren't exact, because something was in progress just then: 1." in said

    status, said = reconcile("--settle", *BY)
    assert status == 0
    assert f"{name} settled: 0.6 charged (balance 2" in said
    assert "agrees: Nothing is missing." in said
    assert ledger.balances(world.team) == Balances(available=99_400_000, spent=600_000)
    settled = Transfer.objects.get(kind="settle")
    assert settled.actor == world.alice
    assert settled.memo.startswith("balance 2")
    assert Job.objects.get().reason == Job.Reason.RESULT_LOST


def test_where_nothing_is_missing_none_was_charged(world: World, paid_server: Server) -> None:
    reconcile()
    for _ in range(2):
        call(world, paid_server, wire.no_answer)
    let_time_pass()
    status, said = reconcile("--settle", *BY)
    assert status == 0
    assert said.count("settled: not charged") == 2
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_one_of_two_is_left_to_a_person(world: World, paid_server: Server) -> None:
    reconcile()
    call(world, paid_server, charged_in_silence("1"))
    call(world, paid_server, wire.no_answer)
    let_time_pass()
    status, said = reconcile("--settle", *BY)
    assert status == 1
    assert "for a person: 1 is missing, and it isn't certain what it went for" in said
    assert "settled:" not in said
    assert Attempt.objects.filter(state="in_doubt").count() == 2
    assert ledger.balances(world.team).held == 2 * CREDIT


def test_a_person_who_was_wrong_is_found_out(world: World, paid_server: Server) -> None:
    reconcile()
    lost = call(world, paid_server, charged_in_silence("1"))
    let_time_pass()
    review.resolve(lost, 0, world.alice, "a guess")
    status, said = reconcile()
    assert status == 1
    assert f"{lost.job_id}/1 (decided by a person or an earlier balance)" in said


def test_a_purchase_explains_what_came(world: World, paid_server: Server) -> None:
    reconcile()
    call(world, paid_server, wire.answer())
    let_time_pass()
    paid_server.journal.balance_microcredits += 50 * CREDIT
    status, said = reconcile()
    assert status == 1
    assert "50 is there that nothing explains" in said

    bought = timezone.now() - timedelta(minutes=5)
    row = {"account_id": accounts.current_id(), "bought_at": bought, "microcredits": 50 * CREDIT}
    Purchase.objects.create(note="a pack", entered_by=world.alice, **row)
    status, said = reconcile("--no-snapshot")
    assert status == 0
    assert "+ 50 bought" in said


@pytest.mark.parametrize(
    ("account_status", "words"),
    [(401, "refuses the account"), (503, "can't be reached"), (404, "didn't tell it")],
)
def test_an_account_that_does_not_answer_is_a_line(
    world: World, paid_server: Server, account_status: int, words: str
) -> None:
    call(world, paid_server, wire.answer())
    paid_server.account_status = account_status
    status, said = reconcile()
    assert status == 0
    assert said.startswith("No balance: ")
    assert words in said.splitlines()[0]
    assert "matched" in said


def test_nobody_at_home(world: World, settings: Settings) -> None:
    settings.PIXIAN_EMBEDDED, settings.PIXIAN_API_URL = False, "http://127.0.0.1:9"
    assert "can't be reached" in reconcile()[1]


def test_the_embedded_engine_has_no_balance(world: World, server: Server) -> None:
    call(world, server, wire.answer())
    status, said = reconcile()
    assert status == 0
    assert said.startswith("The embedded engine charges nobody and has no balance.")
    assert "No two balances to compare." in said


def test_a_mismatch_needs_a_person(world: World, server: Server) -> None:
    attempt = call(world, server, wire.answer())
    Attempt.objects.update(charged_microcredits=CREDIT // 2)
    status, said = reconcile()
    assert status == 1
    assert f"{attempt.job_id}/1 mismatch, HTTP 200: 1 estimated, 1 held, 0.5 charged" in said


def test_an_overage_waits_for_a_look_and_alarms_nobody(world: World, server: Server) -> None:
    attempt = call(world, server, wire.answer(charged="2"))
    status, said = reconcile()
    assert status == 0
    assert f"{attempt.job_id}/1 overage, HTTP 200" in said
    review.acknowledge(attempt, world.alice, "a large one")
    assert "Nothing is left to a person." in reconcile()[1]


def test_those_that_are_not_fine_are_listed(world: World, server: Server) -> None:
    call(world, server, wire.answer())
    odd = call(world, server, wire.answer(charged="many"))
    world.job()
    assert "X-Credits-Charged: many" in reconcile("--attempts")[1]
    listed = told("--attempts")["listed"]
    assert [(row["attempt"], row["verdict"]) for row in listed] == [
        (f"{odd.job_id}/1", "no_header"),
        (f"{odd.job_id + 1}/1", "open"),
    ]
    assert told()["listed"] == []


def test_the_data_says_the_same(world: World, paid_server: Server) -> None:
    reconcile()
    call(world, paid_server, wire.answer(charged="0.123456"))
    found = told()
    sums = {"attempts": 1, "estimated": CREDIT, "held": CREDIT, "charged": 123_456, "booked": 123_456}
    assert found["attempts"] == {"matched": sums}
    (period,) = found["periods"]
    assert (period["outcome"], period["missing"], period["charged"]) == ("agrees", 0, 123_456)
    assert (found["needs_a_person"], found["waiting"]) == (False, [])


def test_only_the_days_that_are_asked_for(world: World, server: Server) -> None:
    call(world, server, wire.answer())
    call(world, server, wire.no_answer)
    Attempt.objects.filter(state="in_doubt").update(sent_at=datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC))
    Attempt.objects.filter(state="booked").update(sent_at=datetime(2026, 2, 2, tzinfo=UTC))
    spans = {
        ("--since", "2026-02-01"): {"matched"},
        ("--until", "2026-01-31"): {"in_doubt"},
        ("--since", "2026-01-31", "--until", "2026-02-01"): {"in_doubt"},
        ("--since", "2026-02-02", "--until", "2026-02-02"): {"matched"},
        ("--since", "2026-02-03"): set(),
        (): {"matched", "in_doubt"},
    }
    for span, expected in spans.items():
        assert set(told(*span)["attempts"]) == expected, span
    assert reconcile("--since", "2026-02-01")[0] == 0
    assert reconcile()[0] == 1


def test_periods_of_other_days_are_left_out(world: World, paid_server: Server) -> None:
    for day in (1, 2, 3):
        moment = datetime(2026, 1, day, tzinfo=UTC)
        BalanceSnapshot.objects.create(
            account_id=accounts.current_id(), asked_at=moment, came_at=moment, microcredits=100 - day
        )
    assert len(told("--no-snapshot")["periods"]) == 2
    assert len(told("--no-snapshot", "--since", "2026-01-03")["periods"]) == 1
    assert len(told("--no-snapshot", "--until", "2026-01-01")["periods"]) == 1
    assert told("--no-snapshot", "--since", "2026-01-04")["periods"] == []


def test_many_periods_that_agree_are_counted(world: World, paid_server: Server) -> None:
    for hour in range(40):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        BalanceSnapshot.objects.create(
            account_id=accounts.current_id(), asked_at=moment, came_at=moment, microcredits=100 - (hour > 20)
        )
    said = reconcile("--no-snapshot")[1]
    assert "Periods that agree, with nothing in doubt: 38." in said
    assert said.count("for a person: 0.000001 is missing") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--settle"], "--settle needs --by EMAIL"),
        (["--settle", "--by", "nobody@example.org"], "No active user has the address"),
        (["--since", "yesterday"], "--since"),
    ],
)
def test_what_cannot_be_done_is_said(
    world: World, server: Server, arguments: list[str], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        reconcile(*arguments)


def test_a_member_does_not_settle(world: World, paid_server: Server) -> None:
    reconcile()
    call(world, paid_server, wire.no_answer)
    let_time_pass()
    with pytest.raises(CommandError, match="neither staff nor a manager of Aurora"):
        reconcile("--settle", "--by", "bob@example.org")
    assert Attempt.objects.get().state == "in_doubt"
