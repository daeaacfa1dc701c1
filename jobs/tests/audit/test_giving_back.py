"""Refund a charge, or write off an overage: once each, never more than was booked, and raced."""

from typing import Any

import pytest
from pytest_django import Settings

from accounts.audit_log import ReasonError
from accounts.credits import adjustments
from accounts.credits.adjustments import WaitingError
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances, DuplicateKeyError
from accounts.models import Adjustment, AuditEntry, Transfer, User
from accounts.tests.at_once import at_once
from conftest import World
from jobs.audit import bad_results, giving_back
from jobs.audit.bad_results import AlreadyAnsweredError
from jobs.audit.giving_back import TooMuchError
from jobs.models import Attempt, BadResult
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_user("root@example.org", is_staff=True)


def charged(world: World, server: Server, amount: str) -> Attempt:
    """Return a call of one credit held that was charged so much."""
    job = world.job(user=world.bob)
    server.script.append(wire.answer(charged=amount))
    run(server)
    return Attempt.objects.select_related("job__team", "hold").get(job=job)


def rows() -> list[Any]:
    tables = (Transfer.objects, Adjustment.objects, AuditEntry.objects, BadResult.objects, Attempt.objects)
    return [row for table in tables for row in table.order_by("pk").values()]


def test_a_refund_is_a_new_transfer_and_the_charge_stays(world: World, server: Server, root: User) -> None:
    attempt = charged(world, server, "1")
    assert giving_back.refund(attempt, CREDIT // 2, root, "half a picture") is None
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT + CREDIT // 2, spent=CREDIT)
    made = ledger.transfers(world.team)[0]
    assert (made.kind, made.actor, made.memo) == ("refund", root, "half a picture")
    assert (made.idempotency_key, made.reference) == (f"refund:{attempt.pk}", f"job:{attempt.job_id}:1")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject, entry.after["microcredits"]) == (
        "refund",
        f"attempt:{attempt.pk}",
        CREDIT // 2,
    )


def test_a_write_off_covers_what_is_owed_first(world: World, server: Server, root: User) -> None:
    ledger.adjust(world.team, -99 * CREDIT, key="less", actor=root, memo="less")
    attempt = charged(world, server, "3")
    assert ledger.balances(world.team) == Balances(spent=3 * CREDIT, owed=2 * CREDIT)
    giving_back.write_off(attempt, root, "the upstream was wrong")
    assert ledger.balances(world.team) == Balances(spent=3 * CREDIT)
    made = ledger.transfers(world.team)[0]
    assert (made.kind, made.idempotency_key) == ("adjust", f"writeoff:{attempt.hold_id}")


def test_each_happens_once_and_never_more_than_was_booked(world: World, server: Server, root: User) -> None:
    attempt = charged(world, server, "3")
    with pytest.raises(TooMuchError) as caught:
        giving_back.refund(attempt, 3 * CREDIT + 1, root, "asked")
    assert caught.value.left_microcredits == 3 * CREDIT
    giving_back.refund(attempt, 2 * CREDIT, root, "asked")
    before = rows()
    with pytest.raises(DuplicateKeyError):
        giving_back.refund(attempt, CREDIT, root, "again")
    with pytest.raises(TooMuchError) as caught:
        giving_back.write_off(attempt, root, "the overage too")
    assert caught.value.left_microcredits == CREDIT
    assert rows() == before


def test_a_call_within_its_hold_has_nothing_to_write_off(world: World, server: Server, root: User) -> None:
    with pytest.raises(TooMuchError):
        giving_back.write_off(charged(world, server, "1"), root, "asked")


@pytest.mark.parametrize("micro", [0, -1])
def test_nothing_and_less_is_not_refunded(world: World, server: Server, root: User, micro: int) -> None:
    attempt = charged(world, server, "1")
    before = rows()
    with pytest.raises(ValueError, match="can't be given"):
        giving_back.refund(attempt, micro, root, "asked")
    assert rows() == before


def test_without_a_reason_nothing_is_written(world: World, server: Server, root: User) -> None:
    attempt = charged(world, server, "3")
    before = rows()
    with pytest.raises(ReasonError):
        giving_back.refund(attempt, CREDIT, root, " ")
    with pytest.raises(ReasonError):
        giving_back.write_off(attempt, root, "")
    assert rows() == before


def test_what_a_manager_gives_back_waits_for_staff(world: World, server: Server, root: User) -> None:
    """Else a manager could refund the team's charges to themselves without end."""
    attempt = charged(world, server, "1")
    waiting = giving_back.refund(attempt, CREDIT, world.alice, "asked")
    assert waiting
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    with pytest.raises(WaitingError):
        giving_back.refund(attempt, CREDIT, root, "asked")


def test_a_large_refund_waits(world: World, server: Server, root: User, settings: Settings) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    attempt = charged(world, server, "3")
    assert giving_back.refund(attempt, CREDIT * 2, root, "asked")
    assert giving_back.given(attempt).left == CREDIT


def test_of_two_refunds_at_once_one_is_made(committed_world: World, server: Server) -> None:
    attempt = charged(committed_world, server, "1")
    people = [User.objects.create_user(f"root{number}@example.org", is_staff=True) for number in range(4)]
    outcome = at_once(
        4, lambda number: giving_back.refund(attempt, 1, people[number], "asked"), DuplicateKeyError
    )
    assert outcome == ["done", *["too late"] * 3]
    assert Transfer.objects.filter(kind="refund").count() == 1


def test_of_two_write_offs_at_once_one_is_made(committed_world: World, server: Server) -> None:
    attempt = charged(committed_world, server, "3")
    people = [User.objects.create_user(f"root{number}@example.org", is_staff=True) for number in range(4)]
    late = (DuplicateKeyError, TooMuchError)
    outcome = at_once(4, lambda number: giving_back.write_off(attempt, people[number], "asked"), *late)
    assert outcome == ["done", *["too late"] * 3]
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=3 * CREDIT)


def test_a_refund_and_a_write_off_at_once_never_give_more_than_was_booked(
    committed_world: World, server: Server
) -> None:
    """Each fits by itself: two of three credits, and the two above the hold."""
    attempt = charged(committed_world, server, "3")
    root = User.objects.create_user("root@example.org", is_staff=True)

    def decide(number: int) -> None:
        if number:
            giving_back.refund(attempt, 2 * CREDIT, root, "asked")
        else:
            giving_back.write_off(attempt, root, "asked")

    assert at_once(2, decide, TooMuchError) == ["done", "too late"]
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=3 * CREDIT)


def test_without_the_sum_both_would_be_given_back(
    world: World, server: Server, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    attempt = charged(world, server, "3")
    excess = giving_back.given(attempt)
    monkeypatch.setattr(giving_back, "given", lambda _attempt: excess)
    giving_back.refund(attempt, 2 * CREDIT, root, "asked")
    giving_back.write_off(attempt, root, "asked")
    assert ledger.balances(world.team) == Balances(available=101 * CREDIT, spent=3 * CREDIT)


# Reports of bad results -------------------------------------------------------------------------------


def reported(world: World, server: Server) -> BadResult:
    attempt = charged(world, server, "1")
    return bad_results.report(attempt.job, world.bob, "half of the shoe is missing")


def test_a_report_is_answered_by_a_refund(world: World, server: Server, root: User) -> None:
    report = reported(world, server)
    bad_results.refund(report, CREDIT, root, "sorry")
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT, spent=CREDIT)
    row = BadResult.objects.get()
    assert (row.answer, row.answered_by, row.reason) == ("refunded", root, "sorry")
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["refund", "answer_report"]


def test_of_a_refund_and_a_refusal_at_once_one_wins(committed_world: World, server: Server) -> None:
    report = reported(committed_world, server)
    root = User.objects.create_user("root@example.org", is_staff=True)

    def decide(number: int) -> None:
        mine = BadResult.objects.select_related("job__team").get(pk=report.pk)
        if number % 2:
            bad_results.refund(mine, CREDIT, root, "sorry")
        else:
            bad_results.decline(mine, root, "it looks fine")

    outcome = at_once(4, decide, AlreadyAnsweredError, DuplicateKeyError)
    assert outcome == ["done", *["too late"] * 3]
    refunded = BadResult.objects.get().answer == "refunded"
    assert Transfer.objects.filter(kind="refund").count() == int(refunded)


def test_a_report_is_not_declined_while_its_refund_waits(world: World, server: Server, root: User) -> None:
    report = reported(world, server)
    waiting = bad_results.refund(report, CREDIT, world.alice, "sorry")
    assert waiting
    before = rows()
    with pytest.raises(WaitingError):
        bad_results.decline(report, root, "it looks fine")
    assert rows() == before
    adjustments.reject(waiting, root, "it looks fine")
    bad_results.decline(report, root, "it looks fine")
    assert BadResult.objects.get().answer == "declined"


def test_of_a_refund_that_waits_and_a_refusal_at_once_one_wins(
    committed_world: World, server: Server
) -> None:
    report = reported(committed_world, server)
    root = User.objects.create_user("root@example.org", is_staff=True)

    def decide(number: int) -> None:
        mine = BadResult.objects.select_related("job__team").get(pk=report.pk)
        if number % 2:
            bad_results.refund(mine, CREDIT, committed_world.alice, "sorry")
        else:
            bad_results.decline(mine, root, "it looks fine")

    outcome = at_once(4, decide, AlreadyAnsweredError, WaitingError)
    assert outcome == ["done", *["too late"] * 3]
    declined = BadResult.objects.get().answer == "declined"
    assert Adjustment.objects.waiting().exists() is not declined


def test_a_declined_report_stays_declined(world: World, server: Server, root: User) -> None:
    report = reported(world, server)
    bad_results.decline(report, root, "it looks fine")
    before = rows()
    with pytest.raises(AlreadyAnsweredError):
        bad_results.refund(report, CREDIT, root, "after all")
    assert rows() == before
