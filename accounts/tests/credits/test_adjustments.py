"""Changes above the limit wait for a second person: once, by somebody else, and with the database's word."""

from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import Settings

from accounts.audit_log import ReasonError
from accounts.credits import adjustments
from accounts.credits.adjustments import AlreadyDecidedError, Change, NotAllowedError, WaitingError
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances, DuplicateKeyError, InsufficientCreditsError
from accounts.models import Adjustment, AuditEntry, Membership, Role, Transfer, User
from accounts.tests.at_once import at_once
from conftest import World

pytestmark = pytest.mark.both_databases

Kind = Adjustment.Kind


@pytest.fixture(autouse=True)
def _limit(settings: Settings) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = 10 * CREDIT


def staff(name: str = "root") -> User:
    return User.objects.create_user(f"{name}@example.org", is_staff=True)


def correction(world: World, credits_: int, key: str = "adjust:1", reason: str = "blank pictures") -> Change:
    return Change(world.team, Kind.ADJUST, credits_ * CREDIT, reason, key)


def rows() -> list[Any]:
    tables = (Transfer.objects, Adjustment.objects, AuditEntry.objects)
    return [row for table in tables for row in table.order_by("pk").values()]


def test_up_to_the_limit_it_is_posted_at_once_and_in_the_audit_log(world: World) -> None:
    root = staff()
    assert adjustments.make(correction(world, 10), root) is None
    assert ledger.balances(world.team) == Balances(available=110 * CREDIT)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.team, entry.reason) == (
        "adjust",
        root,
        world.team,
        "blank pictures",
    )
    assert (entry.before["available"], entry.after["available"]) == (100 * CREDIT, 110 * CREDIT)


@pytest.mark.parametrize("credits_", [11, -11])
def test_above_it_nothing_is_posted_until_somebody_else_approves(world: World, credits_: int) -> None:
    waiting = adjustments.make(correction(world, credits_), staff())
    assert waiting
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)
    second = staff("second")
    adjustments.approve(waiting, second)
    assert ledger.balances(world.team) == Balances(available=(100 + credits_) * CREDIT)
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["propose", "approve"]
    posted = ledger.transfers(world.team)[0]
    assert (posted.actor, posted.memo, posted.idempotency_key) == (second, "blank pictures", "adjust:1")


def test_a_limit_of_0_is_none(world: World, settings: Settings) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = 0
    assert adjustments.make(correction(world, 5_000_000), staff()) is None


def test_who_asked_does_not_approve_or_reject(world: World) -> None:
    root = staff()
    waiting = adjustments.make(correction(world, 11), root)
    assert waiting
    with pytest.raises(NotAllowedError):
        adjustments.approve(waiting, root)
    with pytest.raises(NotAllowedError):
        adjustments.reject(waiting, root, "no")
    assert Adjustment.objects.waiting().exists()


def test_without_the_look_at_who_asked_the_database_refuses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the guard in Python is taken out, and ``adjustment_by_two_people`` is left."""
    root = staff()
    waiting = adjustments.make(correction(world, 11), root)
    assert waiting
    before = rows()
    monkeypatch.setattr(adjustments, "may_approve", lambda *_: True)
    with pytest.raises(IntegrityError, match=r"adjustment_by_two_people"):
        adjustments.approve(waiting, root)
    assert rows() == before


def test_one_of_the_two_runs_the_site(world: World) -> None:
    """Two managers of a team can't give it credits; one may agree to what staff asked for."""
    Membership.objects.filter(user=world.vera).update(role=Role.MANAGER)
    by_manager = adjustments.make(correction(world, 1), world.alice, alone=False)
    by_staff = adjustments.make(correction(world, 11, "adjust:2"), staff())
    assert by_manager
    assert by_staff
    may = {
        user.email: [adjustments.may_approve(user, asked) for asked in (by_manager, by_staff)]
        for user in (world.alice, world.vera, world.bob, world.charlie, staff("second"))
    }
    assert may == {
        "alice@example.org": [False, True],
        "vera@example.org": [False, True],
        "bob@example.org": [False, False],
        "charlie@example.org": [False, False],
        "second@example.org": [True, True],
    }


def test_a_rejection_says_why_and_lets_the_same_change_be_asked_for_again(world: World) -> None:
    root, second = staff(), staff("second")
    waiting = adjustments.make(correction(world, 11), root)
    assert waiting
    with pytest.raises(ReasonError):
        adjustments.reject(waiting, second, " ")
    adjustments.reject(waiting, second, "it was a different team")
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)
    row = Adjustment.objects.get()
    assert (row.approved, row.decided_by, row.answer) == (False, second, "it was a different team")
    with pytest.raises(AlreadyDecidedError):
        adjustments.approve(waiting, second)
    assert adjustments.make(correction(world, 11), root)


def test_the_same_change_waits_or_is_made_once(world: World) -> None:
    root = staff()
    adjustments.make(correction(world, 1), root)
    adjustments.make(correction(world, 11, "adjust:2"), root)
    before = rows()
    for credits_, key, error in (
        (1, "adjust:1", DuplicateKeyError),
        (11, "adjust:1", DuplicateKeyError),
        (1, "adjust:2", WaitingError),
        (11, "adjust:2", WaitingError),
    ):
        with pytest.raises(error):
            adjustments.make(correction(world, credits_, key), root)
    assert rows() == before


@pytest.mark.parametrize("reason", ["", "  ", "x" * 401])
@pytest.mark.parametrize("credits_", [1, 11])
def test_without_a_reason_nothing_is_written(world: World, credits_: int, reason: str) -> None:
    root, before = staff(), rows()
    with pytest.raises(ReasonError):
        adjustments.make(correction(world, credits_, reason=reason), root)
    assert rows() == before


@pytest.mark.parametrize("micro", [0, 2**53, -(2**53), 2**63, 2**64])
def test_an_amount_of_zero_or_beyond_what_a_column_takes_is_refused(world: World, micro: int) -> None:
    root, before = staff(), rows()
    with pytest.raises(ValueError, match="can't be given or taken"):
        adjustments.make(Change(world.team, Kind.ADJUST, micro, "asked", "adjust:1"), root)
    assert rows() == before


def test_what_is_not_available_any_more_waits_on(world: World) -> None:
    waiting = adjustments.make(correction(world, -50), staff())
    assert waiting
    ledger.hold(world.team, 90 * CREDIT, key="hold", reference="")
    before = rows()
    with pytest.raises(InsufficientCreditsError):
        adjustments.approve(waiting, staff("second"))
    assert rows() == before


def decide_at_once(world: World) -> list[str]:
    """Let two approve and two reject at the same time; return what came of each."""
    waiting = adjustments.make(correction(world, 11), staff())
    assert waiting
    people = [staff(f"second{number}") for number in range(4)]

    def decide(number: int) -> str:
        mine = Adjustment.objects.select_related("team", "asked_by").get(pk=waiting.pk)
        if number % 2:
            adjustments.approve(mine, people[number])
            return "approved"
        adjustments.reject(mine, people[number], "no")
        return "rejected"

    return at_once(4, decide, AlreadyDecidedError)


def test_of_an_approval_and_a_rejection_at_once_one_wins(committed_world: World) -> None:
    outcome = decide_at_once(committed_world)
    assert outcome in (["approved", *["too late"] * 3], ["rejected", *["too late"] * 3])
    available = 111 if outcome[0] == "approved" else 100
    assert ledger.balances(committed_world.team) == Balances(available=available * CREDIT)
    assert AuditEntry.objects.count() == 2


def test_without_the_look_at_the_count_it_would_be_decided_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a rejected change is posted after all."""
    waiting = adjustments.make(correction(world, 11), staff())
    assert waiting
    second = staff("second")

    def close_anyway(adjustment: Adjustment, actor: User, **values: Any) -> None:
        Adjustment.objects.filter(pk=adjustment.pk).update(
            decided_by=actor, decided_at=timezone.now(), **values
        )

    monkeypatch.setattr(adjustments, "_close", close_anyway)
    adjustments.reject(waiting, second, "no")
    adjustments.approve(waiting, second)
    assert ledger.balances(world.team) == Balances(available=111 * CREDIT)
