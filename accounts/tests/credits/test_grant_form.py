"""Granting on the page: an amount as people type it, and once for each form."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Transfer, User
from accounts.tests.teams.team_pages import log_in, page, text, told
from conftest import World

pytestmark = pytest.mark.both_databases


def root_of(client: Client) -> User:
    root: User = User.objects.create_user("root@example.org", is_staff=True)
    client.force_login(root)
    return root


def token_on(client: Client, world: World) -> str:
    (token,) = re.findall(r'name="token" value="([0-9a-f-]+)"', text(client.get(page(world, "credits"))))
    return str(token)


def grant(client: Client, world: World, token: str, credits_: str = "5", note: str = "") -> str:
    sent = {"token": token, "credits": credits_, "note": note}
    return told(client.post(page(world, "grant_credits"), sent, follow=True))


def test_staff_grant_and_the_statement_says_who_and_why(world: World, client: Client) -> None:
    root = root_of(client)
    assert "5 credits granted to Aurora" in grant(client, world, token_on(client, world), note="for shoes")
    assert ledger.balances(world.team).available == 105 * CREDIT
    made = Transfer.objects.latest("pk")
    assert (made.kind, made.actor, made.memo) == ("grant", root, "for shoes")
    assert "for shoes" in text(log_in(client, "vera").get(page(world, "credits")))


@pytest.mark.parametrize(
    ("language", "typed", "granted"),
    [
        ("en", "1.5", 1_500_000),
        ("en", "1,5", 1_500_000),
        ("en", "1,234.5", 1_234_500_000),
        ("fr", "1,5", 1_500_000),
        ("fr", "1.5", 1_500_000),
        ("fr", "1 234,5", 1_234_500_000),
        ("fr", "1,234", 1_234_000),
    ],
)
def test_an_amount_as_it_is_typed(
    world: World, client: Client, language: str, typed: str, granted: int
) -> None:
    root_of(client)
    client.cookies["django_language"] = language
    before = ledger.balances(world.team).available
    grant(client, world, str(uuid4()), typed)
    assert ledger.balances(world.team).available - before == granted


@pytest.mark.parametrize("typed", ["", "0", "-5", "many", "1e9", "0.0000001", "9" * 20])
def test_an_amount_that_is_none_changes_nothing_and_is_kept(world: World, client: Client, typed: str) -> None:
    root_of(client)
    response = client.post(page(world, "grant_credits"), {"token": uuid4(), "credits": typed, "note": "why"})
    assert response.status_code == 400
    assert 'role="alert"' in text(response)
    assert 'value="why"' in text(response)
    assert ledger.balances(world.team).available == 100 * CREDIT


@pytest.mark.parametrize("who", ["alice", "bob", "vera"])
def test_members_grant_themselves_nothing(world: World, client: Client, who: str) -> None:
    response = log_in(client, who).post(page(world, "grant_credits"), {"token": uuid4(), "credits": "5"})
    assert response.status_code == 403
    assert ledger.balances(world.team).available == 100 * CREDIT


def test_a_form_sent_again_says_what_it_did_before(world: World, client: Client) -> None:
    root_of(client)
    token = token_on(client, world)
    grant(client, world, token, "5")
    assert "5 credits were granted, once" in grant(client, world, token, "5")
    assert "This form granted 5 credits before, so nothing" in grant(client, world, token, "7")
    assert ledger.balances(world.team).available == 105 * CREDIT
    assert token_on(client, world) != token


def test_what_was_owed_is_covered_first_and_once(world: World, client: Client) -> None:
    root_of(client)
    held = ledger.hold(world.team, CREDIT, key="h", reference="", actor=world.bob)
    ledger.settle(held, 103 * CREDIT)
    token = token_on(client, world)
    grant(client, world, token, "5")
    assert "5 credits were granted, once" in grant(client, world, token, "5")
    assert (ledger.balances(world.team).available, ledger.balances(world.team).owed) == (2 * CREDIT, 0)


def press_twice_at_once(world: World, tokens: list[str]) -> int:
    """Send a form by two connections at once; return the credits that came of it."""
    root = User.objects.create_user("root@example.org", is_staff=True)
    meet = threading.Barrier(2, timeout=60)
    before = ledger.balances(world.team).available

    def press(token: str) -> None:
        client = Client()
        client.force_login(root)
        try:
            meet.wait()
            client.post(page(world, "grant_credits"), {"token": token, "credits": "5"})
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(press, tokens))
    return (ledger.balances(world.team).available - before) // CREDIT


def test_a_double_press_grants_once(committed_world: World) -> None:
    assert press_twice_at_once(committed_world, [str(uuid4())] * 2) == 5


def test_without_one_token_a_double_press_grants_twice(committed_world: World) -> None:
    """The control: the form as it would be if each request made its own token."""
    assert press_twice_at_once(committed_world, [str(uuid4()), str(uuid4())]) == 10
