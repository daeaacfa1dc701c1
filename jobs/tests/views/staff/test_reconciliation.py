"""The pages on which staff compare the books with the upstream account, and settle what differs."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import AuditEntry, Transfer, User
from conftest import World
from jobs.audit.reconcile.account import between
from jobs.models import Attempt, BalancePeriod, BalanceSnapshot, Purchase
from jobs.tests import upstream as wire
from jobs.tests.audit.test_balance_book import balance, call, let_time_pass, paid
from jobs.tests.upstream import CREDENTIALS, Server, charged_in_silence
from jobs.views.staff.reconciliation import _middle

__all__ = ["paid"]

PAGE = "/staff/reconciliation/"
PURCHASES = f"{PAGE}purchases/"


@pytest.fixture(autouse=True)
def _amid_a_month(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be some hours later in the first hours of a month: the page shows one, and time is to pass."""
    now, hours = timezone.now, timedelta(hours=3)
    if timezone.localtime(now() - hours).month != timezone.localtime(now()).month:
        monkeypatch.setattr(timezone, "now", lambda: now() + hours)


@pytest.fixture
def staff(world: World) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.org"))
    return client


@pytest.fixture
def told(paid: Server, settings: Settings) -> Server:
    """The upstream whose credentials the settings know, so that the page may ask it."""
    settings.PIXIAN_API_ID, settings.PIXIAN_API_SECRET = CREDENTIALS.api_id, CREDENTIALS.api_secret
    return paid


def words(client: Client, address: str) -> str:
    """Return the text of a page, without its tags and spaces."""
    text = re.sub(r"<[^>]+>", " ", client.get(address).content.decode())
    return " ".join(text.split())


def lost_call(world: World, server: Server, charged: str = "0.6") -> Attempt:
    """Let a quiet balance come before and after a call whose answer is lost."""
    balance(server)
    lost = call(world, server, charged_in_silence(charged))
    let_time_pass()
    balance(server)
    let_time_pass()
    return lost


def test_a_month_is_listed_and_adds_up(world: World, paid: Server, staff: Client) -> None:
    balance(paid)
    call(world, paid, wire.answer(charged="0.123456"))
    balance(paid)
    text = words(staff, PAGE)
    assert "999.876544" in text
    assert "−0.123456 1 call" in text
    assert "agrees" in text
    assert "To be explained" not in text


def test_only_staff_see_it(world: World, paid: Server) -> None:
    client = Client()
    assert client.get(PAGE).status_code == 302
    client.force_login(world.alice)
    assert client.get(PAGE).status_code == 404
    assert client.post(f"{PAGE}balance/").status_code == 404
    assert client.post(PURCHASES).status_code == 404


def test_without_a_balance_it_says_what_comes(world: World, staff: Client) -> None:
    assert "There is nothing to compare yet" in words(staff, PAGE)


def test_a_balance_is_taken_now(world: World, told: Server, staff: Client) -> None:
    response = staff.post(f"{PAGE}balance/", follow=True)
    assert "The balance is 1,000 credits." in response.content.decode()
    assert BalanceSnapshot.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "said"), [(401, "refuses the account"), (503, "reached"), (404, "tell the balance")]
)
def test_an_account_that_does_not_answer_is_said_in_words(
    world: World, told: Server, staff: Client, status: int, said: str
) -> None:
    told.account_status = status
    assert said in staff.post(f"{PAGE}balance/", follow=True).content.decode()
    assert not BalanceSnapshot.objects.exists()


def test_the_difference_is_explained_and_booked_once(world: World, paid: Server, staff: Client) -> None:
    lost = lost_call(world, paid)
    row = BalancePeriod.objects.get()
    assert "only the call in doubt can have cost it" in words(staff, PAGE)
    text = words(staff, f"{PAGE}{row.pk}/")
    assert "−0.6" in text
    assert f"{lost.job_id}/1" in text
    for said in ("0.6 charged", "There was nothing to book"):
        response = staff.post(f"{PAGE}{row.pk}/book/", follow=True)
        assert said in response.content.decode()
    settled = Transfer.objects.get(kind="settle")
    assert (settled.amount_microcredits, settled.actor) == (600_000, User.objects.get(is_staff=True))
    assert settled.memo.startswith("balance 2")
    assert "Decided by a person or an earlier balance" in words(staff, f"{PAGE}{row.pk}/")
    assert BalancePeriod.objects.get().missing == 0


def test_of_two_who_book_at_once_one_does(world: World, paid: Server, staff: Client) -> None:
    lost = lost_call(world, paid)
    row = BalancePeriod.objects.select_related("opening", "closing").get()
    stale = between(row.opening, row.closing)
    staff.post(f"{PAGE}{row.pk}/book/")
    assert [found.pk for found, _charged in stale.decisions] == [lost.pk]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.views.staff.reconciliation.between", lambda *_: stale)
        response = staff.post(f"{PAGE}{row.pk}/book/", follow=True)
    assert "decided by someone else in the meantime" in response.content.decode()
    assert Transfer.objects.filter(kind="settle").count() == 1


def test_headers_are_shown_verbatim_and_harmless(world: World, paid: Server, staff: Client) -> None:
    balance(paid)
    attempt = call(world, paid, wire.answer())
    Attempt.objects.filter(pk=attempt.pk).update(headers=[["X-Odd", "<script>"]], charged_header="=1+1")
    balance(paid)
    row = BalancePeriod.objects.get()
    assert "X-Odd: &lt;script&gt;" in staff.get(f"{PAGE}{row.pk}/").content.decode()
    lines = staff.get(f"{PAGE}{row.pk}/calls.csv").getvalue().decode().splitlines()
    assert lines[0].startswith("\ufeffattempt,team,sent_at")
    assert "'=1+1" in lines[1]
    assert lines[1].startswith(f"{attempt.job_id}/1,aurora,")


def test_the_periods_are_exported(world: World, paid: Server, staff: Client) -> None:
    balance(paid)
    call(world, paid, wire.answer(charged="0.5"))
    balance(paid)
    lines = staff.get(f"{PAGE}periods.csv").getvalue().decode().splitlines()
    assert len(lines) == 2
    assert ",1000,1,0.5,0.5,0,999.5,999.5,0,0,0,0,agrees" in lines[1]


def test_calls_are_paged_by_key(
    world: World, paid: Server, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.views.staff.reconciliation.CALLS", 2)
    balance(paid)
    made = [call(world, paid, wire.answer()) for _ in range(3)]
    balance(paid)
    address = f"{PAGE}{BalancePeriod.objects.get().pk}/"
    first = staff.get(address)
    assert [each.pk for each in first.context["page"].attempts] == [made[2].pk, made[1].pk]
    second = staff.get(address, {"before": first.context["page"].older})
    assert [each.pk for each in second.context["page"].attempts] == [made[0].pk]
    assert second.context["page"].older == ""
    for odd in ("x", "1.", "9" * 40 + ".1", "-1.-1"):
        assert staff.get(address, {"before": odd}).status_code == 200


def test_a_changed_account_says_that_a_new_book_begins(
    world: World, paid: Server, staff: Client, settings: Settings
) -> None:
    balance(paid)
    settings.PIXIAN_API_ID = "another"
    balance(paid)
    text = words(staff, PAGE)
    assert "A new book begins: calls went to" in text
    old = BalanceSnapshot.objects.earliest("pk").account_id
    assert "A new book begins" not in words(staff, f"{PAGE}?book={old}")


@pytest.mark.parametrize("query", ["?book=x", "?month=2026-13", "?day=no", "?before=x", "?month=0000-01"])
def test_odd_addresses_show_the_page(world: World, paid: Server, staff: Client, query: str) -> None:
    balance(paid)
    balance(paid)
    assert staff.get(f"{PAGE}{query}").status_code == 200
    assert staff.get(f"{PAGE}?book=999").status_code == 404
    assert staff.get(f"{PAGE}999/").status_code == 404


def form(client: Client, **changes: Any) -> dict[str, Any]:
    """Return what the page's form sends."""
    shown = client.get(PURCHASES).context["form"]
    moment = timezone.localtime(timezone.now() - timedelta(hours=1))
    values = {"bought_at": f"{moment:%Y-%m-%dT%H:%M:%S}", "credits": "50", "note": "a pack"}
    return {"token": str(shown["token"].value())} | values | changes


def test_a_purchase_is_entered_once(world: World, paid: Server, staff: Client) -> None:
    balance(paid)
    sent = form(staff)
    assert "50 credits entered" in staff.post(PURCHASES, sent, follow=True).content.decode()
    assert "already entered, once" in staff.post(PURCHASES, sent, follow=True).content.decode()
    row = Purchase.objects.get()
    assert (row.microcredits, row.note, row.entered_by.email) == (50 * CREDIT, "a pack", "root@example.org")
    assert AuditEntry.objects.get(action="purchase").reason == "a pack"


def test_the_same_again_by_another_form_is_asked_about(world: World, paid: Server, staff: Client) -> None:
    balance(paid)
    staff.post(PURCHASES, form(staff))
    again = form(staff)
    response = staff.post(PURCHASES, again)
    assert response.status_code == 400
    assert "Is this another purchase?" in response.content.decode()
    assert Purchase.objects.count() == 1
    staff.post(PURCHASES, again | {"confirmed": "yes"})
    assert Purchase.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"credits": "0"}, "other than 0"),
        ({"credits": "many"}, "Enter an amount of credits such as 1.5 or 1,5."),
        ({"credits": "9223372036854775808"}, "no more than"),
        ({"credits": "0.0000001"}, "decimal"),
        ({"note": " "}, "required"),
        ({"note": "x" * 401}, "at most 400"),
        ({"bought_at": "2999-01-01T00:00"}, "in the future"),
        ({"bought_at": "0001-01-01T00:00"}, "too long ago"),
        ({"bought_at": "31/12/2026"}, "valid date"),
        ({"token": "x"}, "UUID"),
    ],
)
def test_what_is_no_purchase_is_refused(
    world: World, paid: Server, staff: Client, changes: dict[str, str], problem: str
) -> None:
    balance(paid)
    response = staff.post(PURCHASES, form(staff, **changes))
    assert response.status_code == 400
    assert problem in response.content.decode()
    assert not Purchase.objects.exists()


@pytest.mark.parametrize(
    ("language", "typed", "microcredits"),
    [
        ("en", "1.5", 1_500_000),
        ("en", "1,5", 1_500_000),
        ("fr", "1,5", 1_500_000),
        ("fr", "-2.5", -2_500_000),
    ],
)
def test_amounts_are_taken_as_each_language_writes_them(
    world: World, paid: Server, staff: Client, language: str, typed: str, microcredits: int
) -> None:
    balance(paid)
    staff.cookies["django_language"] = language
    staff.post(PURCHASES, form(staff, credits=typed))
    assert Purchase.objects.get().microcredits == microcredits


def test_a_difference_leads_to_the_entry_that_explains_it(world: World, paid: Server, staff: Client) -> None:
    balance(paid)
    let_time_pass()
    paid.journal.balance_microcredits -= 2 * CREDIT
    balance(paid)
    let_time_pass()
    row = BalancePeriod.objects.get()
    assert findings(staff) == {"−2": f"{PAGE}{row.pk}/"}
    enter_what_explains(staff, f"{PAGE}{row.pk}/", "expired")
    assert "To be explained" not in words(staff, PAGE)
    assert BalancePeriod.objects.get().missing == 0


def test_four_planted_faults_are_each_found_and_settled_on_the_page(
    world: World, paid: Server, staff: Client
) -> None:
    """One charge is missing at the upstream, one doubled, one of a wrong amount, and one is nobody's."""
    right = wire.answer(charged="1")
    wrong = {
        "missing": replace(right, charges=False),
        "doubled": replace(right, microcredits=2 * CREDIT),
        "another amount": replace(right, microcredits=1_400_000),
    }
    balance(paid)
    for step in (right, *wrong.values(), right, None):
        let_time_pass()
        if step:
            call(world, paid, step)
        else:
            paid.journal.balance_microcredits -= 700_000
        balance(paid)
    let_time_pass()

    faults = {"+1": "missing", "−1": "doubled", "−0.4": "another amount", "−0.7": "of nobody"}
    assert findings(staff).keys() == faults.keys()
    for left, (difference, note) in zip((3, 2, 1, 0), faults.items(), strict=True):
        enter_what_explains(staff, findings(staff)[difference], note)
        assert len(findings(staff)) == left
    assert [(row.difference, row.missing) for row in BalancePeriod.objects.all()] == [(0, 0)] * 6
    total = staff.get(PAGE).context["total"]
    assert (total.difference, total.charged, total.unexplained) == (0, 5 * CREDIT, 0)
    reasons = AuditEntry.objects.filter(action="purchase").order_by("pk").values_list("reason", flat=True)
    assert list(reasons) == list(faults.values())


# The hour that clocks repeat --------------------------------------------------------------------------

AUTUMN = "2025-10-26T02:30:00"


@pytest.fixture
def in_paris(settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/Paris"


def entered(client: Client, query: dict[str, str], **changes: str) -> str:
    """Send the form that a link with this query fills in; return the moment that was entered, in UTC."""
    shown = client.get(PURCHASES, query).context["form"]
    sent = {name: str(shown[name].value() or "") for name in ("token", "bought_at", "offset")}
    values = sent | {"credits": "50", "note": "a pack"} | changes
    assert client.post(PURCHASES, values).status_code == 302
    return f"{Purchase.objects.get().bought_at.astimezone(UTC):%H:%M}"


@pytest.mark.usefixtures("in_paris")
@pytest.mark.parametrize(
    ("query", "changes", "moment"),
    [
        ("", {"bought_at": AUTUMN}, "00:30"),
        ("", {"bought_at": f"{AUTUMN}+02:00"}, "00:30"),
        ("", {"bought_at": f"{AUTUMN}+01:00"}, "01:30"),
        (AUTUMN, {}, "00:30"),
        (f"{AUTUMN}+02:00", {}, "00:30"),
        (f"{AUTUMN}+01:00", {}, "01:30"),
        (f"{AUTUMN}+01:00", {"bought_at": "2025-10-26T02:45"}, "01:45"),
        (f"{AUTUMN}+02:00", {"bought_at": "2025-10-26T04:00"}, "03:00"),
        (f"{AUTUMN}+01:00", {"bought_at": "2025-10-25T12:00"}, "10:00"),
    ],
)
def test_a_purchase_in_the_hour_that_clocks_repeat_is_the_first_or_the_one_that_was_filled_in(
    world: World, paid: Server, staff: Client, query: str, changes: dict[str, str], moment: str
) -> None:
    balance(paid)
    assert entered(staff, {"bought_at": query}, **changes) == moment


@pytest.mark.usefixtures("in_paris")
@pytest.mark.parametrize(("hour", "offset"), [(0, "+02:00"), (1, "+01:00")])
def test_the_time_that_is_filled_in_lies_within_its_period(hour: int, offset: str) -> None:
    begin = datetime(2025, 10, 26, hour, 20, tzinfo=UTC)
    opening, closing = BalanceSnapshot(came_at=begin), BalanceSnapshot(asked_at=begin + timedelta(minutes=20))
    assert _middle(BalancePeriod(opening=opening, closing=closing)) == f"{AUTUMN}{offset}"


@pytest.mark.usefixtures("in_paris")
def test_a_time_that_clocks_skip_is_refused_with_the_reason(
    world: World, paid: Server, staff: Client
) -> None:
    balance(paid)
    response = staff.post(PURCHASES, form(staff, bought_at="2025-03-30T02:30"))
    assert response.status_code == 400
    assert "clocks were put forward" in response.content.decode()
    assert not Purchase.objects.exists()


def test_a_link_with_any_time_opens_the_form(world: World, paid: Server, staff: Client) -> None:
    balance(paid)
    for time in ("soon", "2025-13-01T00:00+01:00", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"):
        assert staff.get(PURCHASES, {"bought_at": time}).status_code == 200


def findings(client: Client) -> dict[str, str]:
    """Return the periods that the page lists to be explained: their differences and addresses."""
    listed = re.search(r'<ul class="findings">.*?</ul>', client.get(PAGE).content.decode(), re.DOTALL)
    items = re.findall(r'href="(/staff/[^"]+)".*?<b>([^<]+)</b>', listed[0], re.DOTALL) if listed else []
    return {difference: address for address, difference in items}


def enter_what_explains(client: Client, period: str, note: str) -> None:
    """Follow the period's page to the form that it fills in, and send that with a note."""
    page = client.get(period).content.decode()
    (address,) = re.findall(r'href="(/staff/reconciliation/purchases/\?[^"]*bought_at[^"]*)"', page)
    shown = client.get(address.replace("&amp;", "&")).context["form"]
    sent = {name: str(shown[name].value()) for name in ("token", "bought_at", "offset", "credits")}
    client.post(PURCHASES, sent | {"note": note})
