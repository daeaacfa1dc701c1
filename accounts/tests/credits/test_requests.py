"""Asking for credits: who hears of it, who decides, and how the asker learns what came of it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import rate_limits
from accounts.credits import requests, statement
from accounts.credits.requests import AlreadyAskedError, AlreadyDecidedError, Decision
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import CreditRequest, Transfer, User
from accounts.teams import deletion
from accounts.tests.teams.team_pages import log_in, page, text, told
from conftest import World

pytestmark = pytest.mark.both_databases

BATCH = UUID("11111111-0000-4000-8000-000000000000")


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_user("root@example.org", is_staff=True)


def ask(client: Client, world: World, who: str = "bob", **fields: Any) -> Any:
    sent = {"credits": "40", "note": "autumn shoes"} | fields
    return log_in(client, who).post(page(world, "ask_for_credits"), sent, follow=True)


def the_request() -> CreditRequest:
    return CreditRequest.objects.get()


def decide(client: Client, world: World, **fields: str) -> str:
    return told(client.post(page(world, "decide_request", the_request().pk), fields, follow=True))


def test_a_request_reaches_all_who_can_help(world: World, client: Client, mona: User, root: User) -> None:
    assert "You asked for 40 credits" in told(ask(client, world))
    made = the_request()
    assert (made.team, made.asked_by, made.microcredits) == (world.team, world.bob, 40 * CREDIT)
    (sent,) = mail.outbox
    assert sent.to == ["alice@example.org", "mona@example.org", "root@example.org"]
    assert sent.subject == "[Pixian Web] bob@example.org asks for credits for Aurora"
    assert "autumn shoes" in str(sent.body)
    assert reverse("credits", args=["aurora"]) in str(sent.body)
    assert "autumn shoes" in text(log_in(client, "vera").get(page(world, "credits")))


def test_who_cannot_sign_in_or_never_confirmed_an_address_gets_no_mail(world: World, root: User) -> None:
    User.objects.create_user("gone@example.org", is_staff=True, is_active=False)
    User.objects.create_user("maybe@example.org", is_staff=True, confirmed=False)
    requests.ask(world.team, world.bob, CREDIT)
    (sent,) = mail.outbox
    assert sent.to == ["alice@example.org", "root@example.org"]


@pytest.mark.parametrize("failure", ["mail_server_down", "mail_is_printed"])
def test_without_mail_the_request_is_there_all_the_same(
    world: World, client: Client, failure: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(failure)
    assert "You asked for 40 credits" in told(ask(client, world))
    assert the_request().note == "autumn shoes"


def test_viewers_do_not_ask(world: World, client: Client) -> None:
    assert ask(client, world, "vera").status_code == 403
    assert not CreditRequest.objects.exists()


def test_one_open_request_for_each_person_and_batch(world: World, client: Client) -> None:
    ask(client, world)
    assert "You have asked already" in told(ask(client, world, credits="50"))
    requests.ask(world.team, world.bob, CREDIT, batch=BATCH)
    with pytest.raises(AlreadyAskedError):
        requests.ask(world.team, world.bob, CREDIT, batch=BATCH)
    requests.ask(world.team, world.alice, CREDIT, batch=BATCH)
    assert CreditRequest.objects.count() == 3


@pytest.mark.parametrize("batch", [None, BATCH])
def test_the_database_refuses_a_second_one(world: World, batch: UUID | None) -> None:
    def make() -> CreditRequest:
        return CreditRequest.objects.create(team=world.team, asked_by=world.bob, microcredits=1, batch=batch)

    first = make()
    with pytest.raises(IntegrityError), transaction.atomic():
        make()
    decided = {"decided_at": timezone.now(), "decided_by": world.alice, "granted_microcredits": 1}
    CreditRequest.objects.filter(pk=first.pk).update(**decided)
    make()


@pytest.mark.parametrize(
    "values",
    [
        {"microcredits": 0},
        {"decided_at": timezone.now()},
        {"granted_microcredits": 5},
        {"granted_microcredits": 0, "answer": ""},
    ],
)
def test_the_database_refuses_half_a_decision(world: World, values: dict[str, Any]) -> None:
    made = requests.ask(world.team, world.bob, CREDIT)
    if "answer" in values:
        values = values | {"decided_at": timezone.now(), "decided_by": world.alice}
    with pytest.raises(IntegrityError), transaction.atomic():
        CreditRequest.objects.filter(pk=made.pk).update(**values)


def test_asking_twice_at_once_is_one_request(committed_world: World) -> None:
    world, meet = committed_world, threading.Barrier(2, timeout=60)

    def press(_: int) -> bool:
        try:
            meet.wait()
            requests.ask(world.team, world.bob, CREDIT, batch=BATCH)
        except AlreadyAskedError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(press, range(2))) == [False, True]
    assert CreditRequest.objects.count() == 1


def test_nobody_floods_staff_with_mails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now = rate_limits._now()
    monkeypatch.setattr(rate_limits, "_now", lambda: now)
    for _ in range(requests.PER_MINUTE):
        requests.ask(world.team, world.bob, CREDIT, batch=uuid4())
    with pytest.raises(rate_limits.TooFastError):
        requests.ask(world.team, world.bob, CREDIT, batch=uuid4())
    assert len(mail.outbox) == requests.PER_MINUTE


@pytest.mark.parametrize("fields", [{"credits": ""}, {"credits": "-1"}, {"note": "x" * 401}, {"batch": "x"}])
def test_a_wrong_request_is_shown_again(world: World, client: Client, fields: dict[str, str]) -> None:
    response = ask(client, world, **fields)
    assert response.status_code == 400
    assert 'role="alert"' in text(response)
    assert not CreditRequest.objects.exists()


def test_a_script_is_answered_in_a_sentence(world: World, client: Client) -> None:
    address, headers = page(world, "ask_for_credits"), {"HX-Request": "true"}
    log_in(client, "bob")
    for sent, status, sentence in (
        ({"credits": "0"}, 400, "greater than"),
        ({"credits": "40", "batch": BATCH}, 201, "You asked for 40 credits"),
        ({"credits": "40", "batch": BATCH}, 409, "You have asked already"),
    ):
        response = client.post(address, sent, headers=headers)
        assert (response.status_code, sentence in text(response)) == (status, True)


def test_a_request_from_a_batch_leads_back_to_it(world: World, client: Client) -> None:
    response = log_in(client, "bob").post(page(world, "ask_for_credits"), {"credits": "1", "batch": BATCH})
    assert response["Location"] == page(world, "batch", BATCH)
    assert page(world, "batch", BATCH) in text(client.get(page(world, "credits")))


# The decision -----------------------------------------------------------------------------------------


def test_staff_grant_what_they_think_right(world: World, client: Client, root: User) -> None:
    ask(client, world)
    mail.outbox.clear()
    client.force_login(root)
    asked = text(client.get(page(world, "credits")))
    assert 'title="1 open request for credits"' in asked
    assert "30 credits granted" in decide(client, world, credits="30", answer="The rest next week")
    assert ledger.balances(world.team).available == 130 * CREDIT
    made = Transfer.objects.latest("pk")
    assert (made.kind, made.actor, made.memo) == ("grant", root, "autumn shoes")
    (sent,) = mail.outbox
    assert sent.to == ["bob@example.org"]
    assert "granted 30 credits to the team Aurora; you had asked for 40" in str(sent.body)
    seen = text(log_in(client, "bob").get(page(world, "credits")))
    assert "30 granted by root@example.org" in seen
    assert "The rest next week" in seen
    assert "open request" not in seen


def test_a_grant_without_a_note_names_the_asker_by_their_request(
    world: World, client: Client, root: User
) -> None:
    ask(client, world, note="")
    client.force_login(root)
    decide(client, world, credits="30")
    assert Transfer.objects.latest("pk").memo == ""
    assert [line.memo for line in statement.newest(world.team, 1)] == ["bob@example.org"]


@pytest.mark.parametrize("owed", [0, 10, 30])
def test_a_memo_from_before_names_a_deleted_asker_no_more(world: World, root: User, owed: int) -> None:
    if owed:
        held = ledger.hold(world.team, 100 * CREDIT, key="owed", reference="job:1:1", actor=world.alice)
        ledger.settle(held, (100 + owed) * CREDIT)
    asked = requests.ask(world.team, world.bob, 30 * CREDIT)
    ledger.grant(world.team, 30 * CREDIT, key=f"request:{asked.pk}", actor=root, memo="bob@example.org")
    named = [line.memo for line in statement.newest(world.team, 2)]
    deletion.delete_person(world.bob, world.bob)
    after = [line.memo for line in statement.newest(world.team, 2)]
    assert "bob@example.org" in named
    assert after == [memo.replace("bob@example.org", f"Person {world.bob.pk}") for memo in named]


def test_staff_decline_and_say_why(world: World, client: Client, root: User) -> None:
    ask(client, world)
    mail.outbox.clear()
    client.force_login(root)
    refused = client.post(page(world, "decide_request", the_request().pk), {"decline": "1", "credits": "40"})
    assert "Say why" in text(refused)
    assert the_request().decided_at is None
    assert "is declined" in decide(client, world, decline="1", credits="40", answer="Next month")
    assert ledger.balances(world.team).available == 100 * CREDIT
    (sent,) = mail.outbox
    assert "declined your request for 40 credits" in str(sent.body)
    assert "Next month" in str(sent.body)
    seen = text(log_in(client, "bob").get(page(world, "credits")))
    assert "Declined by root@example.org" in seen
    assert "Next month" in seen
    assert "You asked for 40 credits" in told(ask(client, world))


@pytest.mark.parametrize("who", ["bob", "alice"])
def test_members_decide_nothing(world: World, client: Client, who: str) -> None:
    ask(client, world)
    address = page(world, "decide_request", the_request().pk)
    assert log_in(client, who).post(address, {"credits": "40"}).status_code == 403
    assert ledger.balances(world.team).available == 100 * CREDIT


def test_a_request_that_was_decided_is_decided(world: World, client: Client, root: User) -> None:
    ask(client, world)
    client.force_login(root)
    decide(client, world, credits="40")
    assert "Someone else has decided" in decide(client, world, credits="40")
    assert "Someone else has decided" in decide(client, world, decline="1", answer="No")
    assert ledger.balances(world.team).available == 140 * CREDIT


Decide = Callable[[CreditRequest, Decision, User], None]


def both_decide(world: World, decide: Decide) -> list[str]:
    """Let two people answer one request at the same moment, one by a grant of 40 and one by 50."""
    asked = requests.ask(world.team, world.bob, 40 * CREDIT)
    people = [User.objects.create_user(f"{name}@example.org", is_staff=True) for name in ("ruth", "rolf")]
    meet = threading.Barrier(2, timeout=60)

    def answer(index: int) -> str:
        mine = CreditRequest.objects.select_related("team", "asked_by").get(pk=asked.pk)
        try:
            meet.wait()
            decide(mine, Decision((40 + 10 * index) * CREDIT), people[index])
        except AlreadyDecidedError:
            return "late"
        finally:
            connection.close()
        return "won"

    with ThreadPoolExecutor(2) as pool:
        return sorted(pool.map(answer, range(2)))


def test_of_two_decisions_at_once_one_wins(committed_world: World) -> None:
    world = committed_world
    assert both_decide(world, requests.decide) == ["late", "won"]
    granted = the_request().granted_microcredits
    assert ledger.balances(world.team).available == 100 * CREDIT + (granted or 0)


def test_without_the_condition_both_grant(committed_world: World) -> None:
    """The control: a decision that looks first and writes afterwards, and a key of its own for each grant."""
    world, looked = committed_world, threading.Barrier(2, timeout=60)

    def unguarded(asked: CreditRequest, decision: Decision, staff: User) -> None:
        if the_request().decided_at:
            raise AlreadyDecidedError(str(asked.pk))
        looked.wait()
        key = f"request:{asked.pk}:{staff.pk}"
        ledger.grant(asked.team, decision.microcredits, key=key, actor=staff)

    assert both_decide(world, unguarded) == ["won", "won"]
    assert ledger.balances(world.team).available == 190 * CREDIT
