"""Decide several calls with one confirmation: raced by others, and cut off in the middle."""

import io
import threading
from collections import Counter
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.test import Client
from pytest_django import Settings

from accounts.credits.adjustments import AlreadyDecidedError, NotAllowedError, WaitingError
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import AuditEntry, User
from accounts.tests.at_once import at_once
from accounts.tests.teams.team_pages import log_in, page, text, told
from conftest import World
from jobs.audit import review, several, verify
from jobs.audit.cases import bulk, queries
from jobs.audit.several import AlreadyMadeError, Call, Outcome
from jobs.models import Attempt, BulkDecision
from jobs.tests.audit.test_balance_book import paid
from jobs.tests.audit.test_decided_at_once import decided_again, staff
from jobs.tests.audit.test_review import in_doubt
from jobs.tests.upstream import Server
from jobs.tests.views.review.test_review_several import lost

__all__ = ["paid"]

pytestmark = pytest.mark.both_databases

CALLS, PEOPLE = 6, 3


class PowerCutError(BaseException):
    """The process dies here."""


def make(world: World, choice: str, actor: User) -> tuple[BulkDecision, User]:
    """Store the actor's decision on all calls in doubt, and return it with them."""
    asked = bulk.bulk(queries.doubts(world.team, queries.ALL), choice)
    assert asked
    (decision,) = several.make(uuid4(), choice, asked.calls, actor, "the invoice")
    return decision, actor


def booked() -> Counter[str]:
    """Count how often the audit log says that each call was decided."""
    return Counter(AuditEntry.objects.filter(action="resolve").values_list("subject", flat=True))


def decide_at_once(world: World, server: Server) -> list[Outcome]:
    """Let several people decide the same calls, each something else or the same."""
    for _ in range(CALLS):
        in_doubt(world, server)
    choices = ["estimated", "not_charged", "estimated"]
    made = [make(world, choice, staff(f"p{number}")) for number, choice in enumerate(choices)]
    outcomes: list[Outcome] = []
    at_once(PEOPLE, lambda number: outcomes.append(several.run(*made[number])))
    return outcomes


def test_each_call_is_decided_once_however_many_decide_all(committed_world: World, server: Server) -> None:
    outcomes = decide_at_once(committed_world, server)
    assert set(booked().values()) == {1}
    assert sum(len(outcome.done) for outcome in outcomes) == CALLS
    assert all(len(outcome.done) + len(outcome.late) == CALLS for outcome in outcomes)
    charged = Attempt.objects.filter(state="booked").count()
    assert ledger.balances(committed_world.team) == Balances(
        available=(100 - charged) * CREDIT, spent=charged * CREDIT
    )
    assert not BulkDecision.objects.open().exists()
    assert not verify.run(quick=True).findings


def test_without_the_guard_they_are_decided_several_times(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    decided_again(monkeypatch)
    monkeypatch.setattr(several, "is_open", lambda *_: True)
    decide_at_once(committed_world, server)
    assert set(booked().values()) == {PEOPLE}


def test_what_a_crash_leaves_is_done_by_whoever_continues(
    world: World, server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubts = [in_doubt(world, server) for _ in range(4)]
    decision, _actor = make(world, "estimated", world.alice)
    with monkeypatch.context() as patch:
        resolve, calls = review._resolve, iter(range(4))

        def die(*arguments: Any) -> None:
            resolve(*arguments)
            if next(calls) == 1:
                raise PowerCutError

        patch.setattr(review, "_resolve", die)
        with pytest.raises(PowerCutError):
            several.run(decision, world.alice)

    assert sorted(Attempt.objects.values_list("state", flat=True)) == [*["booked"] * 2, *["in_doubt"] * 2]
    assert ledger.balances(world.team) == Balances(available=96 * CREDIT, held=2 * CREDIT, spent=2 * CREDIT)
    case = f"decision-{decision.pk}"
    shown = log_in(client, "alice").get(page(world, "review"), {"case": case})
    assert "is under way or was interrupted" in text(shown)
    said = told(client.post(page(world, "decide_case", case), {"action": "continue"}, follow=True))
    assert "4 cases are decided." in said
    assert booked() == Counter({f"attempt:{each.pk}": 1 for each in doubts})
    assert {entry.after["batch"] for entry in AuditEntry.objects.all()} == {str(decision.token)}
    assert queries.find(world.team, case)
    assert not BulkDecision.objects.open().exists()


def test_a_token_makes_one_decision(world: World, server: Server) -> None:
    in_doubt(world, server)
    decision, _actor = make(world, "estimated", world.alice)
    asked = bulk.bulk(queries.doubts(world.team, queries.ALL), "estimated")
    assert asked
    with pytest.raises(AlreadyMadeError):
        several.make(decision.token, "estimated", asked.calls, world.alice, "again")
    assert BulkDecision.objects.count() == 1


def test_of_two_who_approve_at_once_one_does(
    committed_world: World, server: Server, settings: Settings
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    for _ in range(2):
        in_doubt(committed_world, server)
    decision, _actor = make(committed_world, "not_charged", committed_world.alice)
    people = [staff("first"), staff("second")]
    rows = BulkDecision.objects.select_related("team", "asked_by")
    outcome = at_once(
        2, lambda number: several.approve(rows.get(pk=decision.pk), people[number]), AlreadyDecidedError
    )
    assert outcome == ["done", "too late"]
    assert set(booked().values()) == {1}


def test_nobody_is_their_own_second_person(world: World, server: Server, settings: Settings) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT // 2
    in_doubt(world, server)
    decision, root = make(world, "not_charged", staff("root"))
    for person in (root, world.bob, world.charlie):
        with pytest.raises(NotAllowedError):
            several.approve(decision, person)
    with pytest.raises(IntegrityError, match="bulk_decision_by_two_people"):
        BulkDecision.objects.update(decided_by=root, decided_at=decision.asked_at, approved=True)


@pytest.mark.parametrize(("charged", "choice"), [(2 * CREDIT, "amount"), (0, "not_charged")])
def test_one_call_above_the_limit_waits_too(
    world: World, server: Server, settings: Settings, charged: int, choice: str
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT // 2
    attempt = in_doubt(world, server)
    decision = several.decide_one(attempt, charged, world.alice, "asked")
    assert decision
    assert (decision.choice, decision.stake_microcredits) == (choice, max(charged, CREDIT))
    assert not booked()
    several.approve(decision, staff("root"))
    attempt.refresh_from_db()
    assert attempt.known_microcredits == charged


def test_a_call_that_waits_is_not_decided_by_anyone_else(
    world: World, server: Server, settings: Settings
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    attempt, other, root = in_doubt(world, server), in_doubt(world, server), staff("root")
    decision, _actor = make(world, "not_charged", world.alice)  # on both: alone, neither is above the limit
    for charged in (0, 5 * CREDIT):
        with pytest.raises(WaitingError):
            several.decide_one(attempt, charged, root, "asked")
    call = Call(attempt, CREDIT, CREDIT, several.known_of(attempt))
    with pytest.raises(WaitingError):
        several.make(uuid4(), "estimated", [call], root, "the invoice")
    assert queries.doubts(world.team, queries.ALL) == []
    assert (BulkDecision.objects.count(), booked()) == (1, Counter())

    several.reject(decision, root, "ask Pixian first")
    several.decide_one(attempt, CREDIT, root, "asked")
    assert [case.row for case in queries.doubts(world.team, queries.ALL)] == [other]


def test_what_was_approved_and_interrupted_is_continued_and_not_proposed_again(
    world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT // 2
    attempt, root = in_doubt(world, server), staff("root")
    decision, _actor = make(world, "not_charged", world.alice)
    with monkeypatch.context() as patch:
        patch.setattr(several, "run", lambda *_: None)
        several.approve(decision, root)
    with pytest.raises(WaitingError):
        several.decide_one(attempt, CREDIT, root, "asked")
    assert several.run(decision, root).done == [attempt]


def propose_at_once(world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let several people propose something on one call, after each saw that nobody had."""
    pk = in_doubt(world, server).pk
    people = [staff(f"p{number}") for number in range(PEOPLE)]
    rows, real = Attempt.objects.select_related("job__team", "hold"), several.make
    meet = threading.Barrier(PEOPLE, timeout=30)

    def make_together(*arguments: Any) -> list[BulkDecision]:
        meet.wait()
        return real(*arguments)

    def decide(number: int) -> None:
        several.decide_one(rows.get(pk=pk), 2 * CREDIT, people[number], "asked")

    monkeypatch.setattr(several, "make", make_together)
    return at_once(PEOPLE, decide, WaitingError)


def test_of_several_who_propose_at_once_one_does(
    committed_world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    outcome = propose_at_once(committed_world, server, monkeypatch)
    assert outcome == ["done", *["too late"] * (PEOPLE - 1)]
    assert BulkDecision.objects.count() == 1
    assert AuditEntry.objects.filter(action="propose").count() == 1


def test_without_the_lock_each_of_them_does(
    committed_world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: each looks before another has written."""
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    look, meet = several._check_none_waits, threading.Barrier(PEOPLE, timeout=30)

    def look_together(*arguments: Any) -> None:
        look(*arguments)
        meet.wait()

    monkeypatch.setattr(several, "_lock", lambda _calls: None)
    monkeypatch.setattr(several, "transaction", SimpleNamespace(atomic=nullcontext))
    monkeypatch.setattr(several, "_check_none_waits", look_together)
    assert propose_at_once(committed_world, server, monkeypatch) == ["done"] * PEOPLE
    assert BulkDecision.objects.count() == PEOPLE


# The command ------------------------------------------------------------------------------------------


def resolve(*arguments: str) -> str:
    out = io.StringIO()
    call_command("resolve", "--all", *arguments, "--why", "asked", "--by", "alice@example.org", stdout=out)
    return out.getvalue()


def test_the_command_shows_the_sum_and_decides_with_yes(world: World, server: Server) -> None:
    for _ in range(2):
        in_doubt(world, server)
    said = resolve("--as-estimated", "--team", world.team.slug)
    assert said.splitlines() == [
        "Aurora, alice@example.org: 2 calls, 2 at stake",
        "2 calls in doubt: 2 to book of 2 held, 2 at stake.",
        "Nothing was decided. Run it again with --yes to decide.",
    ]
    assert not booked()
    assert resolve("--as-estimated", "--yes").splitlines()[-1] == "Decided: 2."
    assert ledger.balances(world.team) == Balances(available=98 * CREDIT, spent=2 * CREDIT)
    (request_id,) = set(AuditEntry.objects.values_list("request_id", flat=True))
    assert request_id


def test_the_command_books_what_the_balance_says(world: World, paid: Server) -> None:
    lost(world, paid, "1", "1")
    assert "2 calls in doubt: 2 to book" in resolve("--as-balance", "--yes")
    assert ledger.balances(world.team) == Balances(available=98 * CREDIT, spent=2 * CREDIT)


def test_the_command_waits_for_a_second_person_too(world: World, server: Server, settings: Settings) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    for _ in range(2):
        in_doubt(world, server)
    assert "a second person has to approve" in resolve("--not-charged", "--yes")
    assert Attempt.objects.filter(state="in_doubt").count() == 2


def test_the_command_leaves_alone_what_waits(world: World, server: Server, settings: Settings) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    attempts = [in_doubt(world, server) for _ in range(2)]
    resolve("--not-charged", "--yes")
    with pytest.raises(CommandError, match="No such call is in doubt, except those that wait"):
        resolve("--not-charged", "--yes")
    with pytest.raises(CommandError, match="waits for a second person already"):
        call_command(
            "resolve", str(attempts[0].pk), "--not-charged", "--why", "asked", "--by", "alice@example.org"
        )
    assert BulkDecision.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--charged", "1"), "With --all, say"),
        (("--not-charged", "--team", "nowhere"), "There is no team nowhere"),
        (("--not-charged", "--until", "2020-01-01"), "No such call is in doubt"),
        (("--not-charged", "--account", "77"), "No such call is in doubt"),
        (("--as-balance",), "The balances don't say"),
    ],
)
def test_the_command_refuses_what_it_can_not_do(
    world: World, server: Server, arguments: tuple[str, ...], complaint: str
) -> None:
    in_doubt(world, server)
    with pytest.raises(CommandError, match=complaint):
        resolve(*arguments, "--yes")
    assert not booked()
