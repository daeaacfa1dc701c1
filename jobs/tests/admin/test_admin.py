"""The admin: rows to look at, never to write; decisions by a page of their own; purchases."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Transfer, User
from conftest import World
from jobs.admin import review_action
from jobs.audit import review, verify
from jobs.models import Attempt, BalanceSnapshot, Job, Price, Purchase, Verification
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

MODELS = ["job", "attempt"]


@pytest.fixture
def admin(world: World, client: Client, server: Server) -> Client:
    """Return the browser of a superuser, with a job of two attempts."""
    world.job()
    server.script.append(wire.error(500))
    run(server)
    run(server)
    client.force_login(User.objects.create_superuser("root@example.org"))
    return client


def address(model: str, page: str) -> str:
    row = Job.objects.get() if model == "job" else Attempt.objects.first()
    assert row
    return reverse(f"admin:jobs_{model}_{page}", args=[row.pk] if page in ("change", "delete") else [])


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_pages_open(admin: Client, model: str) -> None:
    assert admin.get(address(model, "changelist"), {"q": "photo"}).status_code == 200
    assert admin.get(address(model, "change")).status_code == 200


def test_the_attempts_say_what_came_of_them(admin: Client) -> None:
    text = admin.get(address("attempt", "changelist")).content.decode()
    assert "1.000000" in text
    assert "matched" in text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("page", ["add", "change", "delete"])
def test_nothing_is_written_there(admin: Client, model: str, page: str) -> None:
    before = [*Job.objects.values(), *Attempt.objects.values()]
    answers = {"state": "queued", "name": "other", "number": "9", "post": "yes"}
    assert admin.post(address(model, page), answers).status_code == 403
    assert [*Job.objects.values(), *Attempt.objects.values()] == before


@pytest.mark.parametrize("who", ["alice", "charlie"])
@pytest.mark.parametrize("model", MODELS)
def test_members_of_teams_have_no_business_there(admin: Client, world: World, who: str, model: str) -> None:
    admin.force_login(getattr(world, who))
    assert admin.get(address(model, "changelist")).status_code == 302


# Decisions ------------------------------------------------------------------------------------------


@pytest.fixture
def doubts(admin: Client, world: World, server: Server) -> list[Attempt]:
    """Make two attempts in doubt, and one of each other kind."""
    for step in (wire.no_answer, wire.answer(charged=None), wire.answer(charged="2")):
        world.job()
        server.script.append(step)
        run(server)
    return list(Attempt.objects.filter(state="in_doubt").order_by("pk"))


def listed(admin: Client, **query: str) -> str:
    return admin.get(reverse("admin:jobs_attempt_changelist"), query).content.decode()


def act(admin: Client, action: str, chosen: list[Attempt], **answers: str) -> HttpResponse:
    """Choose the action on the list, or submit its page with these answers."""
    data = {"action": action, "_selected_action": [str(one.pk) for one in chosen]}
    if answers:
        data |= answers | {"decided": "yes"}
    return admin.post(reverse("admin:jobs_attempt_changelist"), data)  # type: ignore[return-value]


def test_the_list_is_filtered_to_what_waits(admin: Client, doubts: list[Attempt]) -> None:
    assert listed(admin).count('class="action-select"') == 5
    shown = listed(admin, review="yes")
    assert shown.count('class="action-select"') == 3
    assert "overage" in shown
    assert "no charge header" in shown


def test_the_list_asks_a_bounded_number_of_questions(
    admin: Client, doubts: list[Attempt], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(12):
        listed(admin)


def test_a_page_asks_how_much_and_why(admin: Client, doubts: list[Attempt]) -> None:
    page = act(admin, "decide", list(Attempt.objects.all())).content.decode()
    for attempt in doubts:
        assert f">{attempt.job_id}/{attempt.number}</a>" in page
        assert f'value="{attempt.pk}"' in page
    assert page.count('name="_selected_action"') == 2
    assert "Aurora" in page
    assert Attempt.objects.filter(state="in_doubt").count() == 2


def test_a_charge_is_booked_for_each(admin: Client, world: World, doubts: list[Attempt]) -> None:
    before = ledger.balances(world.team)
    answers = {"decision": "charged", "credits": "0.75", "reason": "the invoice of May"}
    assert act(admin, "decide", doubts, **answers).status_code == 302
    assert set(states(doubts)) == {"booked"}
    after = ledger.balances(world.team)
    assert (after.held, after.spent - before.spent) == (0, CREDIT * 3 // 2)
    settled = Transfer.objects.filter(kind="settle", hold__attempt__in=doubts)
    assert {(row.actor.email, row.memo) for row in settled if row.actor} == {
        ("root@example.org", "the invoice of May")
    }
    assert f"Done: {doubts[1].job_id}/1, {doubts[0].job_id}/1." in listed(admin)


def test_no_charge_gives_each_hold_back(admin: Client, world: World, doubts: list[Attempt]) -> None:
    act(admin, "decide", doubts, decision="not charged", reason="asked")
    assert set(states(doubts)) == {"released"}
    assert ledger.balances(world.team).held == 0


def states(attempts: list[Attempt]) -> list[str]:
    rows = Attempt.objects.filter(pk__in=[one.pk for one in attempts]).order_by("pk")
    return list(rows.values_list("state", flat=True))


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"decision": "charged", "reason": "asked"}, "Say how much was charged."),
        ({"decision": "charged", "credits": "0", "reason": "asked"}, "greater than or equal to 0.000001"),
        ({"decision": "charged", "credits": "-1", "reason": "asked"}, "greater than or equal to 0.000001"),
        ({"decision": "charged", "credits": "0.0000001", "reason": "asked"}, "no more than 6 decimal places"),
        ({"decision": "charged", "credits": "1000000000000000", "reason": "asked"}, "no more than"),
        ({"decision": "charged", "credits": "many", "reason": "asked"}, "Enter an amount of credits"),
        ({"decision": "not charged", "credits": "1", "reason": "asked"}, "Leave this empty"),
        ({"decision": "charged", "credits": "1", "reason": "  "}, "This field is required."),
        ({"decision": "charged", "credits": "1", "reason": "x" * 401}, "at most 400 characters"),
        ({"decision": "maybe", "credits": "1", "reason": "asked"}, "Select a valid choice."),
        ({"credits": "1", "reason": "asked"}, "This field is required."),
    ],
)
def test_an_answer_that_makes_no_sense_is_asked_for_again(
    admin: Client, doubts: list[Attempt], answers: dict[str, str], complaint: str
) -> None:
    response = act(admin, "decide", doubts, **answers)
    assert complaint in response.content.decode()
    assert set(states(doubts)) == {"in_doubt"}


def test_what_is_not_in_doubt_is_left_alone(admin: Client, doubts: list[Attempt]) -> None:
    others = list(Attempt.objects.exclude(state="in_doubt"))
    before = list(Attempt.objects.values())
    act(admin, "decide", others, decision="not charged", reason="asked")
    assert list(Attempt.objects.values()) == before
    assert "Nothing was changed: no such attempt was selected." in listed(admin)


def test_too_many_at_once_are_not_decided(
    admin: Client, doubts: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_action, "MAX_ATTEMPTS", 1)
    act(admin, "decide", doubts, decision="not charged", reason="asked")
    assert set(states(doubts)) == {"in_doubt"}
    assert "more than 1 such attempts were chosen" in listed(admin)


def test_one_that_someone_else_decides_meanwhile_is_reported(
    admin: Client, world: World, doubts: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = review.resolve

    def slowly(attempt: Attempt, *decision: Any) -> None:
        if attempt == doubts[0]:
            resolve(Attempt.objects.get(pk=attempt.pk), 7, world.alice, "faster")
        resolve(attempt, *decision)

    monkeypatch.setattr(review, "resolve", slowly)
    act(admin, "decide", doubts, decision="not charged", reason="asked")
    assert states(doubts) == ["booked", "released"]
    assert f"{doubts[0].job_id}/1: someone else was faster." in listed(admin)


def test_overages_are_acknowledged(admin: Client, doubts: list[Attempt]) -> None:
    above = Attempt.objects.get(charged_header="2")
    page = act(admin, "acknowledge", list(Attempt.objects.all())).content.decode()
    assert page.count('name="_selected_action"') == 1
    act(admin, "acknowledge", list(Attempt.objects.all()), reason="a large one")
    above.refresh_from_db()
    assert (str(above.reviewed_by), above.review_note) == ("root@example.org", "a large one")
    assert listed(admin, review="yes").count('class="action-select"') == 2


def staff(*rights: str) -> User:
    """Return the browser of a user who may view the admin's jobs, and has these rights."""
    user = User.objects.create_user("staff@example.org", is_staff=True)
    looks = Permission.objects.filter(content_type__app_label="jobs", codename__startswith="view_")
    user.user_permissions.set([*looks, *Permission.objects.filter(codename__in=rights)])
    return user


@pytest.mark.parametrize(("rights", "state"), [([], "in_doubt"), (["change_attempt"], "released")])
def test_a_right_is_needed(admin: Client, doubts: list[Attempt], rights: list[str], state: str) -> None:
    admin.force_login(staff(*rights))
    assert ('value="decide"' in listed(admin)) == bool(rights)
    act(admin, "decide", doubts, decision="not charged", reason="asked")
    assert set(states(doubts)) == {state}
    for one in doubts:
        assert admin.post(reverse("admin:jobs_attempt_change", args=[one.pk]), {}).status_code == 403


# The account ----------------------------------------------------------------------------------------

BOUGHT = {"bought_at_0": "2026-05-01", "bought_at_1": "12:00:00", "credits": "50.000001", "note": "a pack"}


def buy(admin: Client, **changes: str) -> HttpResponse:
    return admin.post(reverse("admin:jobs_purchase_add"), BOUGHT | changes)  # type: ignore[return-value]


def test_a_purchase_is_entered(admin: Client, settings: Settings) -> None:
    settings.PIXIAN_API_URL = "https://api.pixian.ai"
    assert buy(admin, upstream="elsewhere", microcredits="1").status_code == 302
    row = Purchase.objects.get()
    assert (row.microcredits, row.upstream, row.note) == (50_000_001, "https://api.pixian.ai", "a pack")
    assert row.entered_by.email == "root@example.org"
    page = admin.get(reverse("admin:jobs_purchase_change", args=[row.pk])).content.decode()
    assert "50.000001" in page
    assert "https://api.pixian.ai" in page
    assert "50.000001" in admin.get(reverse("admin:jobs_purchase_changelist")).content.decode()


def test_a_correction_is_below_zero(admin: Client) -> None:
    buy(admin, credits="-0.5")
    assert Purchase.objects.get().microcredits == -CREDIT // 2


@pytest.mark.parametrize(
    "changes",
    [{"credits": "0"}, {"credits": ""}, {"credits": "0.0000001"}, {"credits": "1e300"}, {"note": ""}],
)
def test_a_purchase_says_how_much_and_why(admin: Client, changes: dict[str, str]) -> None:
    assert buy(admin, **changes).status_code == 200
    assert not Purchase.objects.exists()


def test_a_purchase_stays(admin: Client) -> None:
    buy(admin)
    row = Purchase.objects.get()
    for page in ("change", "delete"):
        target = reverse(f"admin:jobs_purchase_{page}", args=[row.pk])
        assert admin.post(target, BOUGHT | {"credits": "9", "post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    admin.post(reverse("admin:jobs_purchase_changelist"), chosen)
    assert Purchase.objects.get().microcredits == 50_000_001


@pytest.mark.parametrize(("rights", "count"), [([], 0), (["add_purchase"], 1)])
def test_only_who_may_enters_one(admin: Client, rights: list[str], count: int) -> None:
    admin.force_login(staff(*rights))
    buy(admin)
    assert Purchase.objects.count() == count


LOOKED_AT: dict[str, type[BalanceSnapshot | Price | Verification]] = {
    "balancesnapshot": BalanceSnapshot,
    "price": Price,
    "verification": Verification,
}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_was_found_is_only_looked_at(admin: Client, name: str) -> None:
    now = timezone.now()
    BalanceSnapshot.objects.create(upstream="here", asked_at=now, came_at=now, microcredits=CREDIT)
    verify.run(quick=True)
    row = LOOKED_AT[name]._default_manager.all()[0]
    assert admin.get(reverse(f"admin:jobs_{name}_changelist")).status_code == 200
    assert admin.get(reverse(f"admin:jobs_{name}_change", args=[row.pk])).status_code == 200
    for page, args in (("add", []), ("change", [row.pk]), ("delete", [row.pk])):
        target = reverse(f"admin:jobs_{name}_{page}", args=args)
        assert admin.post(target, {"microcredits": "7", "post": "yes"}).status_code == 403


@pytest.mark.parametrize(("rights", "forgotten"), [([], False), (["change_price"], True)])
def test_prices_are_forgotten(admin: Client, world: World, rights: list[str], forgotten: bool) -> None:
    Price.objects.update(microcredits_per_megapixel=9 * CREDIT)
    before = timezone.now()
    admin.force_login(staff(*rights))
    chosen = {"action": "forget", "_selected_action": [str(row.pk) for row in Price.objects.all()]}
    admin.post(reverse("admin:jobs_price_changelist"), chosen)
    row = Price.objects.get()
    assert row.microcredits_per_megapixel == (0 if forgotten else 9 * CREDIT)
    assert (row.since is not None and row.since >= before) == forgotten
