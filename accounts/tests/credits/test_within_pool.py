"""Granting within the pool: a manager raises the asker's allowance, by no more than the team has."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.credits import requests
from accounts.credits.requests import AlreadyDecidedError, Decision, PoolTooSmallError, UnlimitedError
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import AllowanceUsedUpError
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import AllowanceUse, AuditEntry, CreditRequest, Membership, Role, User
from accounts.teams.create import open_team
from accounts.tests.ledger.test_allowances_raced import behind, hold
from accounts.tests.teams.team_pages import log_in, of, page, text, told
from conftest import World

pytestmark = pytest.mark.both_databases


def limit(world: World, user: User, credits_: int = 10) -> None:
    allowances.grant(of(user, world.team), limit=credits_ * CREDIT, period="month")


def asked_by(world: World, user: User, credits_: int = 5) -> CreditRequest:
    return requests.ask(world.team, user, credits_ * CREDIT)


def decide(client: Client, world: World, asked: CreditRequest, **fields: str) -> Any:
    return client.post(page(world, "decide_request", asked.pk), fields, follow=True)


def limit_of(world: World, user: User) -> int:
    (standing,) = allowances.spender_standings(world.team, user)
    return standing.limit


def nothing_changed(world: World, user: User) -> bool:
    """Return True if the request waits as before, and neither books, allowance nor audit log have changed."""
    return (
        CreditRequest.objects.waiting().count() == 1
        and limit_of(world, user) == 10 * CREDIT
        and ledger.balances(world.team).available == 100 * CREDIT
        and not AuditEntry.objects.exists()
    )


def test_a_manager_grants_within_the_pool(world: World, client: Client, mona: User) -> None:
    limit(world, world.bob)
    hold(world, 9 * CREDIT)
    asked = asked_by(world, world.bob)
    shown = text(log_in(client, "mona").get(page(world, "credits")))
    assert "bob@example.org has 1 left of an allowance of 10" in shown
    assert "Grant new credits" not in shown
    assert 'class="count"' in shown
    assert "can spend 5 credits more until" in told(decide(client, world, asked, credits="5", pool="1"))
    asked.refresh_from_db()
    assert (asked.granted_microcredits, asked.from_pool, asked.decided_by) == (5 * CREDIT, True, mona)
    assert (limit_of(world, world.bob), ledger.balances(world.team).available) == (15 * CREDIT, 91 * CREDIT)
    hold(world, 6 * CREDIT)
    with pytest.raises(AllowanceUsedUpError):
        hold(world, 1)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject, entry.actor) == ("grant_request", f"request:{asked.pk}", mona)
    assert entry.before == {"asked_microcredits": 5 * CREDIT, "limit_microcredits": 10 * CREDIT}
    assert entry.after == {"granted_microcredits": 5 * CREDIT, "limit_microcredits": 15 * CREDIT}
    assert list(allowances.find_differences()) == []


def test_it_lasts_until_the_allowance_renews(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(world, world.bob)
    requests.decide(asked_by(world, world.bob), Decision(5 * CREDIT, from_pool=True), world.alice)
    assert limit_of(world, world.bob) == 15 * CREDIT
    (standing,) = allowances.spender_standings(world.team, world.bob)
    later = standing.renews_at + timedelta(seconds=1)
    monkeypatch.setattr("accounts.ledger.allowances.timezone.now", lambda: later)
    assert limit_of(world, world.bob) == 10 * CREDIT


@pytest.mark.parametrize(("period", "stays"), [("month", 15), ("day", 10)])
def test_a_limit_that_is_set_anew_keeps_it_for_the_same_period(world: World, period: str, stays: int) -> None:
    limit(world, world.bob)
    requests.decide(asked_by(world, world.bob), Decision(5 * CREDIT, from_pool=True), world.alice)
    allowances.grant(of(world.bob, world.team), limit=10 * CREDIT, period=period)
    assert limit_of(world, world.bob) == stays * CREDIT


def test_not_more_than_the_pool_has(world: World, client: Client, mona: User) -> None:
    limit(world, world.bob)
    asked = asked_by(world, world.bob, 500)
    shown = text(decide(log_in(client, "mona"), world, asked, credits="100.000001"))
    assert "The team has only 100 available" in shown
    assert 'value="100.000001"' in shown
    assert nothing_changed(world, world.bob)
    decide(client, world, asked, credits="100")
    assert limit_of(world, world.bob) == 110 * CREDIT


@pytest.mark.parametrize("amount", ["-5", "0", "", "1e3", "9223372036854.775808", "99999999999999", "x"])
def test_an_amount_that_cannot_be_is_refused(world: World, client: Client, mona: User, amount: str) -> None:
    limit(world, world.bob)
    response = decide(log_in(client, "mona"), world, asked_by(world, world.bob), credits=amount)
    assert 'class="error"' in text(response)
    assert nothing_changed(world, world.bob)


@pytest.mark.parametrize(("language", "typed"), [("en", "1.5"), ("en", "1,5"), ("fr", "1,5"), ("fr", "1.5")])
def test_an_amount_as_it_is_typed(
    world: World, client: Client, mona: User, language: str, typed: str
) -> None:
    limit(world, world.bob)
    client.cookies["django_language"] = language
    decide(log_in(client, "mona"), world, asked_by(world, world.bob), credits=typed)
    assert limit_of(world, world.bob) == 11_500_000


def test_a_manager_declines_with_a_reason(world: World, client: Client, mona: User) -> None:
    limit(world, world.bob)
    asked = asked_by(world, world.bob)
    decide(log_in(client, "mona"), world, asked, decline="1")
    assert nothing_changed(world, world.bob)
    decide(client, world, asked, decline="1", answer="next month")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.actor) == ("decline_request", "next month", mona)
    assert limit_of(world, world.bob) == 10 * CREDIT


def test_managers_decide_neither_their_own_nor_without_an_allowance(
    world: World, client: Client, mona: User
) -> None:
    free = asked_by(world, world.bob)
    limit(world, mona)
    own = asked_by(world, mona)
    for asked in (free, own):
        assert decide(log_in(client, "mona"), world, asked, credits="5").status_code == 403
    assert "can spend" in told(decide(log_in(client, "alice"), world, own, credits="5"))
    assert list(CreditRequest.objects.waiting()) == [free]


@pytest.mark.parametrize(("who", "status"), [("bob", 403), ("vera", 403), ("charlie", 404)])
def test_others_decide_nothing(world: World, client: Client, who: str, status: int) -> None:
    limit(world, world.bob)
    response = decide(log_in(client, who), world, asked_by(world, world.bob), credits="5")
    assert response.status_code == status
    assert nothing_changed(world, world.bob)


def test_a_manager_of_another_team_finds_nothing(world: World, client: Client) -> None:
    other = open_team("Others", world.bob)
    Membership.objects.create(team=other, user=world.charlie, role=Role.MANAGER)
    limit(world, world.bob)
    response = decide(log_in(client, "charlie"), world, asked_by(world, world.bob), credits="5")
    assert response.status_code == 404
    assert nothing_changed(world, world.bob)


def test_staff_choose_between_the_pool_and_new_credits(world: World, client: Client) -> None:
    client.force_login(User.objects.create_user("root@example.org", is_staff=True))
    limit(world, world.bob)
    first = asked_by(world, world.bob)
    assert "Grant new credits" in text(client.get(page(world, "credits")))
    decide(client, world, first, credits="5", pool="1")
    assert (limit_of(world, world.bob), ledger.balances(world.team).available) == (15 * CREDIT, 100 * CREDIT)
    decide(client, world, asked_by(world, world.bob), credits="5")
    assert (limit_of(world, world.bob), ledger.balances(world.team).available) == (15 * CREDIT, 105 * CREDIT)


def test_without_an_allowance_there_is_nothing_to_raise(world: World) -> None:
    asked = asked_by(world, world.bob)
    with pytest.raises(UnlimitedError):
        requests.decide(asked, Decision(CREDIT, from_pool=True), world.alice)
    assert asked.decided_at is None
    assert CreditRequest.objects.waiting().exists()
    assert not AuditEntry.objects.exists()


# At the same time -------------------------------------------------------------------------------------


def both(first: Callable[[], object], second: Callable[[], object]) -> list[str]:
    meet = threading.Barrier(2, timeout=60)

    def run(action: Callable[[], object]) -> str:
        try:
            meet.wait()
            action()
        except (AlreadyDecidedError, PoolTooSmallError, AllowanceUsedUpError) as error:
            return type(error).__name__
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(2) as pool:
        return sorted(pool.map(run, (first, second)))


def test_of_two_managers_one_wins(committed_world: World) -> None:
    world = committed_world
    limit(world, world.bob)
    asked = asked_by(world, world.bob)

    def grant(amount: int) -> None:
        mine = CreditRequest.objects.select_related("team", "asked_by").get(pk=asked.pk)
        requests.decide(mine, Decision(amount * CREDIT, from_pool=True), world.alice)

    assert both(lambda: grant(5), lambda: grant(7)) == ["AlreadyDecidedError", "done"]
    granted = CreditRequest.objects.get().granted_microcredits or 0
    assert limit_of(world, world.bob) == 10 * CREDIT + granted
    assert AuditEntry.objects.count() == 1


def test_new_credits_and_the_pool_are_never_both_granted(committed_world: World) -> None:
    """They lock the team's books first, both of them: crosswise they would wait for each other."""
    world = committed_world
    limit(world, world.bob)
    asked = asked_by(world, world.bob)

    def grant(from_pool: bool) -> None:
        mine = CreditRequest.objects.select_related("team", "asked_by").get(pk=asked.pk)
        requests.decide(mine, Decision(5 * CREDIT, from_pool=from_pool), world.alice)

    assert both(lambda: grant(True), lambda: grant(False)) == ["AlreadyDecidedError", "done"]
    raised = AllowanceUse.objects.get().raised_microcredits
    assert raised + ledger.balances(world.team).available == 105 * CREDIT


def test_a_hold_behind_the_raise_may_spend_it(committed_world: World) -> None:
    world = committed_world
    limit(world, world.bob)
    asked = asked_by(world, world.bob)
    behind(
        lambda: requests.decide(asked, Decision(5 * CREDIT, from_pool=True), world.alice),
        lambda: hold(world, 15 * CREDIT),
    )
    assert list(allowances.find_differences()) == []
    assert ledger.balances(world.team).held == 15 * CREDIT


def test_the_pool_is_what_it_has_after_the_hold_before(committed_world: World) -> None:
    world = committed_world
    limit(world, world.bob)
    asked = asked_by(world, world.bob)

    def grant() -> None:
        with pytest.raises(PoolTooSmallError):
            requests.decide(asked, Decision(5 * CREDIT, from_pool=True), world.alice)

    behind(lambda: ledger.hold(world.team, 96 * CREDIT, key="h", reference="", actor=world.alice), grant)
    assert limit_of(world, world.bob) == 10 * CREDIT
    assert CreditRequest.objects.waiting().exists()
