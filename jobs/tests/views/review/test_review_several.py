"""Several calls in doubt are decided with one confirmation that says what is at stake."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import AuditEntry, User
from accounts.tests.teams.team_pages import log_in, page, text, told
from conftest import World, hold_of
from jobs.audit.cases import bulk, queries
from jobs.models import Attempt, BulkDecision, UpstreamAccount
from jobs.tests.audit.test_balance_book import balance, call, let_time_pass, paid
from jobs.tests.audit.test_review import in_doubt
from jobs.tests.upstream import Server, charged_in_silence
from jobs.tests.views.review.test_review import done, rows

__all__ = ["paid"]

pytestmark = pytest.mark.both_databases


@pytest.fixture
def root(world: World) -> User:
    return User.objects.create_superuser("root@example.org")


@pytest.fixture
def doubts(world: World, server: Server) -> list[Attempt]:
    return [in_doubt(world, server) for _ in range(3)]


def ask(client: Client, world: World, choice: str, doubts: list[Attempt] | None = None, **listed: Any) -> Any:
    """Select these calls, or all in doubt of a list."""
    cases = [f"attempt-{each.pk}" for each in doubts or []]
    sent = {"choice": choice} | ({"case": cases} if doubts is not None else {"all": "yes"})
    return client.post(f"{page(world, 'decide_cases')}?{urlencode(listed)}", sent, follow=True)


def confirm(
    client: Client, world: World, asked: Any, reason: str = "the invoice", *, everywhere: bool = False
) -> Any:
    """Send the form of the page that asked."""
    form, shown = asked.context["form"], asked.context["bulk"]
    sent = {"choice": shown.choice, "calls": shown.shown, "token": form["token"].value(), "reason": reason}
    address = reverse("decide_all_cases") if everywhere else page(world, "decide_cases")
    return client.post(address, sent | {"confirmed": "1"}, follow=True)


def states(doubts: list[Attempt]) -> list[str]:
    found = Attempt.objects.in_bulk([each.pk for each in doubts])
    return [found[each.pk].state for each in doubts]


def test_several_are_decided_after_one_question_with_the_sum(
    world: World, client: Client, doubts: list[Attempt]
) -> None:
    log_in(client, "alice")
    before = rows()
    asked = ask(client, world, "estimated", doubts)
    assert "Book 3 calls as estimated?" in text(asked)
    assert "<b>3</b> credits are booked, of 3 held." in text(asked)
    (affected,) = asked.context["bulk"].affected
    assert (affected.team, affected.who) == (world.team, str(doubts[0].job.created_by))
    assert (affected.calls, affected.stake) == (3, 3 * CREDIT)
    assert "This field is required" in text(confirm(client, world, asked, reason=" "))
    assert rows() == before
    assert "3 cases are decided." in told(confirm(client, world, asked))
    assert ledger.balances(world.team) == Balances(available=97 * CREDIT, spent=3 * CREDIT)
    entries = list(AuditEntry.objects.all())
    assert len(entries) == 3
    (request_id,) = {entry.request_id for entry in entries}
    (batch,) = {entry.after["batch"] for entry in entries}
    assert request_id
    assert batch == str(BulkDecision.objects.get().token)


def test_a_form_that_is_sent_twice_decides_once(world: World, client: Client, doubts: list[Attempt]) -> None:
    asked = ask(log_in(client, "alice"), world, "not_charged", doubts)
    confirm(client, world, asked)
    before = rows()
    assert "This form was sent twice. It was decided once." in told(confirm(client, world, asked))
    assert rows() == before


def test_all_of_an_account_and_some_days_are_selected_by_a_filter(
    world: World, client: Client, doubts: list[Attempt], root: User
) -> None:
    other = UpstreamAccount.objects.create(upstream="https://other.example")
    Attempt.objects.filter(pk=doubts[0].pk).update(account=other)
    Attempt.objects.filter(pk=doubts[1].pk).update(sent_at=timezone.now() - timedelta(days=9))
    client.force_login(root)
    today = timezone.localdate().isoformat()
    assert len(ask(client, world, "estimated").context["cases"]) == 3
    cases: list[tuple[dict[str, Any], list[Attempt]]] = [
        ({"account": other.pk}, [doubts[0]]),
        ({"since": today}, [doubts[0], doubts[2]]),
        ({"until": today, "account": doubts[1].account_id}, doubts[1:]),
    ]
    for listed, selected in cases:
        shown = client.get(page(world, "review"), listed)
        assert shown.context["page"].doubts == len(selected)
        found = ask(client, world, "estimated", **listed).context["cases"]
        assert {case.row.pk for case in found} == {each.pk for each in selected}
    confirm(client, world, ask(client, world, "not_charged", since=today))
    assert states(doubts) == ["released", "in_doubt", "released"]


def test_a_filter_that_makes_no_sense_selects_nothing(
    world: World, client: Client, doubts: list[Attempt]
) -> None:
    log_in(client, "alice")
    senseless: list[dict[str, Any]] = [{"since": "x"}, {"since": "2026-02-02", "until": "2026-02-01"}]
    for listed in senseless:
        assert client.get(page(world, "review"), listed).status_code == 200
        assert "no call in doubt is selected" in told(ask(client, world, "estimated", **listed))


def test_managers_filter_by_days_but_see_no_account(
    world: World, client: Client, doubts: list[Attempt]
) -> None:
    listed: dict[str, Any] = {"account": 10**9, "since": "2020-01-01"}
    shown = log_in(client, "alice").get(page(world, "review"), listed)
    assert shown.context["page"].doubts == 3
    assert "Upstream account" not in text(shown)


def test_one_conflict_does_not_hold_up_the_others(
    world: World, client: Client, doubts: list[Attempt]
) -> None:
    """One is decided after the page was shown; one is refused by the books."""
    asked = ask(log_in(client, "alice"), world, "not_charged", doubts)
    Attempt.objects.filter(pk=doubts[0].pk).update(state="released", reviewed_at=timezone.now())
    ledger.release(hold_of(doubts[1]))
    said = told(confirm(client, world, asked))
    assert "1 case is decided." in said
    assert "so left alone: photo.png." in said
    assert "stays as it was: photo.png." in said
    assert states(doubts) == ["released", "in_doubt", "released"]


def test_a_response_that_came_meanwhile_leaves_that_call_alone(
    world: World, client: Client, doubts: list[Attempt]
) -> None:
    asked = ask(log_in(client, "alice"), world, "not_charged", doubts)
    late = {"answered_at": timezone.now(), "status": 200, "charged_microcredits": CREDIT, "doubt": "late"}
    Attempt.objects.filter(pk=doubts[0].pk).update(**late)
    assert "left alone: photo.png." in told(confirm(client, world, asked))
    assert states(doubts) == ["in_doubt", "released", "released"]


@pytest.mark.parametrize("choice", ["", "everything"])
def test_nothing_else_is_decided_at_once(
    world: World, server: Server, client: Client, doubts: list[Attempt], choice: str
) -> None:
    over = done(world, server, "3")
    log_in(client, "alice")
    before = rows()
    ask(client, world, choice, doubts)
    ask(client, world, "not_charged", [over])
    ask(client, world, "not_charged", [])
    assert rows() == before


def test_of_too_many_the_rest_is_left_for_another_time(
    world: World, client: Client, doubts: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_CASES", 2)
    asked = ask(log_in(client, "alice"), world, "estimated")
    assert "1 call more is left out" in text(asked)
    assert "2 cases are decided." in told(confirm(client, world, asked))
    assert sorted(states(doubts)) == ["booked", "booked", "in_doubt"]


# A second person --------------------------------------------------------------------------------------


def test_by_their_sum_they_wait_for_a_second_person(
    world: World, client: Client, doubts: list[Attempt], root: User, settings: Settings
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = 2 * CREDIT  # more than each, less than all
    asked = ask(log_in(client, "alice"), world, "not_charged", doubts)
    assert "3 credits are at stake, so a second person has to approve this." in text(asked)
    assert "waits for a second person" in told(confirm(client, world, asked))
    assert states(doubts) == ["in_doubt"] * 3
    decision = BulkDecision.objects.get()
    case = page(world, "decide_case", f"decision-{decision.pk}")
    assert client.get(page(world, "review"), {"case": f"decision-{decision.pk}"}).context["actions"] == []
    client.post(case, {"action": "approve"})
    assert states(doubts) == ["in_doubt"] * 3

    client.force_login(root)
    assert "3 cases are decided." in told(client.post(case, {"action": "approve"}, follow=True))
    assert states(doubts) == ["released"] * 3
    entries = AuditEntry.objects.order_by("pk")
    assert [entry.action for entry in entries] == ["propose", "approve", *["resolve"] * 3]
    assert {entry.after["batch"] for entry in entries} == {str(decision.token)}
    assert {entry.actor for entry in entries[1:]} == {root}
    assert "Someone else" in told(client.post(case, {"action": "approve"}, follow=True))


def test_a_rejected_decision_leaves_the_calls_in_doubt(
    world: World, client: Client, doubts: list[Attempt], root: User, settings: Settings
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    confirm(client, world, ask(log_in(client, "alice"), world, "estimated", doubts))
    client.force_login(root)
    case = page(world, "decide_case", f"decision-{BulkDecision.objects.get().pk}")
    assert client.post(case, {"action": "reject"}).status_code == 400
    client.post(case, {"action": "reject", "reason": "ask Pixian first"})
    assert states(doubts) == ["in_doubt"] * 3
    assert BulkDecision.objects.get().finished_at


def test_a_call_that_waits_is_not_offered_again(
    world: World, client: Client, doubts: list[Attempt], root: User, settings: Settings
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    asked = ask(log_in(client, "alice"), world, "estimated", doubts[:2])
    late = ask(client, world, "not_charged", doubts)
    confirm(client, world, asked)
    case = f"attempt-{doubts[0].pk}"
    shown = client.get(page(world, "review"), {"case": case})
    assert shown.context["actions"] == []
    assert "A decision on this call, asked for by alice@example.org, waits for a second person." in text(
        shown
    )
    assert shown.context["page"].doubts == 1
    assert f'value="{case}"' not in text(shown)
    before = rows()
    again = {"action": "not_charged", "reason": "me too"}
    said = told(client.post(page(world, "decide_case", case), again, follow=True))
    assert "This waits for a second person already. Nothing was changed." in said
    assert len(ask(client, world, "estimated", doubts).context["cases"]) == 1
    assert len(ask(client, world, "estimated").context["cases"]) == 1
    assert rows() == before
    said = told(confirm(client, world, late))
    assert "1 case is decided." in said
    assert "so left alone: photo.png, photo.png." in said

    client.force_login(root)
    decision = page(
        world, "decide_case", f"decision-{BulkDecision.objects.filter(needs_second=True).get().pk}"
    )
    client.post(decision, {"action": "reject", "reason": "ask Pixian first"})
    assert client.get(page(world, "review"), {"case": case}).context["actions"] != []


def test_who_confirms_at_the_same_moment_is_told(
    world: World, client: Client, doubts: list[Attempt], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    first, second = (ask(log_in(client, "alice"), world, "not_charged", doubts) for _ in range(2))
    confirm(client, world, first)
    monkeypatch.setattr(BulkDecision.objects, "pending", BulkDecision.objects.none)
    cases = queries.doubts(world.team, queries.ALL)
    monkeypatch.undo()
    monkeypatch.setattr(queries, "doubts", lambda *_: cases)
    before = rows()
    assert "waits for a second person" in told(confirm(client, world, second))
    assert rows() == before


def test_staff_decide_for_several_teams_by_the_sum_of_all(
    world: World, server: Server, client: Client, doubts: list[Attempt], root: User, settings: Settings
) -> None:
    """Each team has its own decision, with one name for all in the audit log."""
    settings.SECOND_REVIEW_MICROCREDITS = 3 * CREDIT
    theirs = in_doubt(World(world.charlie.memberships.get().team, *[world.charlie] * 4), server)
    client.force_login(root)
    asked = client.post(reverse("decide_all_cases"), {"choice": "estimated", "all": "yes"})
    assert [(each.team, each.calls) for each in asked.context["bulk"].affected] == [
        (world.team, 3),
        (theirs.job.team, 1),
    ]
    assert "waits for a second person" in told(confirm(client, world, asked, everywhere=True))
    found = BulkDecision.objects.order_by("pk")
    assert {(each.team, len(each.calls)) for each in found} == {(world.team, 3), (theirs.job.team, 1)}
    assert len({each.token for each in found}) == 1
    assert states([*doubts, theirs]) == ["in_doubt"] * 4


# As the balance says ----------------------------------------------------------------------------------


def lost(world: World, server: Server, *charges: str) -> list[Attempt]:
    """Return calls in doubt between two balances that were charged so much."""
    balance(server)
    made = [call(world, server, charged_in_silence(charge)) for charge in charges]
    let_time_pass()
    balance(server)
    let_time_pass()
    return made


def test_the_balance_offers_the_sum_of_the_calls_as_charged(
    world: World, client: Client, paid: Server
) -> None:
    doubts = lost(world, paid, "1", "1", "1")
    asked = ask(log_in(client, "alice"), world, "not_charged", doubts)
    assert "say that they cost 3 credits together" in text(asked)
    shown = asked.context["balance"].shown
    asked = client.post(page(world, "decide_cases"), {"choice": "balance", "calls": shown})
    assert "Decide 3 calls as the balance says?" in text(asked)
    assert "3 cases are decided." in told(confirm(client, world, asked))
    assert ledger.balances(world.team) == Balances(available=97 * CREDIT, spent=3 * CREDIT)


@pytest.mark.parametrize(
    ("charges", "selected", "offered"),
    [
        (("0", "0"), 2, 0),
        (("0", "0"), 1, 0),  # if nothing is missing, none was charged, whichever are selected
        (("1", "1"), 1, None),  # the other one may have cost it
        (("1", "0"), 2, None),
        (("0.5", "0.7"), 2, None),
    ],
)
def test_the_balance_offers_nothing_that_is_not_certain(
    world: World,
    client: Client,
    paid: Server,
    charges: tuple[str, ...],
    selected: int,
    offered: int | None,
) -> None:
    doubts = lost(world, paid, *charges)[:selected]
    balance = ask(log_in(client, "alice"), world, "estimated", doubts).context["balance"]
    assert (balance and balance.total) == offered


def test_without_a_balance_after_them_none_is_offered(
    world: World, client: Client, doubts: list[Attempt]
) -> None:
    log_in(client, "alice")
    assert ask(client, world, "estimated", doubts).context["balance"] is None
    assert "the balances don&#x27;t say" in told(ask(client, world, "balance", doubts))


def test_the_page_asks_a_bounded_number_of_questions(
    world: World, client: Client, doubts: list[Attempt], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    log_in(client, "alice")
    with django_assert_max_num_queries(45):
        assert re.search("Book 3 calls", text(ask(client, world, "estimated")))
