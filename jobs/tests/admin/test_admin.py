"""The admin: rows to look at, never to write; links to the cases; purchases."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import User
from conftest import World
from jobs.audit import verify
from jobs.calls import accounts
from jobs.models import (
    Alert,
    Attempt,
    BadResult,
    BalancePeriod,
    BalanceSnapshot,
    Delivery,
    Event,
    Job,
    Price,
    Purchase,
    UsageDay,
    Verification,
    Webhook,
)
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


RECORDS = [
    "upstreamaccount",
    "balanceperiod",
    "usageday",
    "badresult",
    "webhook",
    "event",
    "delivery",
    "alert",
]


@pytest.mark.parametrize("model", RECORDS)
def test_records_are_only_read_there(admin: Client, world: World, model: str) -> None:
    webhook = Webhook.objects.create(
        team=world.team, url="https://a.example", secret="hush", created_by=world.bob
    )
    event = Event.objects.create(team=world.team, kind="job.finished", subject="job:1")
    Delivery.objects.create(webhook=webhook, event=event)
    Alert.objects.create(team=world.team, subject="pool", level=80, period="1")
    BadResult.objects.create(job=Job.objects.get(), reported_by=world.bob, note="blurred")
    UsageDay.objects.create(team=world.team, day=timezone.localdate(), spender=world.bob, origin="api")
    now = timezone.now()
    first, last = (
        BalanceSnapshot.objects.create(
            account_id=accounts.current_id(), asked_at=now, came_at=now, microcredits=n
        )
        for n in (2, 1)
    )
    BalancePeriod.objects.create(account_id=accounts.current_id(), opening=first, closing=last)
    listed = admin.get(reverse(f"admin:jobs_{model}_changelist"))
    assert listed.status_code == 200
    row = listed.context["cl"].result_list[0]
    page = admin.get(reverse(f"admin:jobs_{model}_change", args=[row.pk]))
    assert page.status_code == 200
    assert "hush" not in page.content.decode() + listed.content.decode()
    for act in ("change", "delete"):
        answer = admin.post(reverse(f"admin:jobs_{model}_{act}", args=[row.pk]), {"post": "yes"})
        assert answer.status_code == 403


@pytest.mark.parametrize(("query", "found"), [("id", 1), ("nonsense", 0), ("0" * 32, 0)])
def test_an_event_is_found_by_its_id_alone(admin: Client, world: World, query: str, found: int) -> None:
    event = Event.objects.create(team=world.team, kind="job.finished", subject="job:1")
    listed = admin.get(
        reverse("admin:jobs_event_changelist"), {"q": str(event.pk) if query == "id" else query}
    )
    assert len(listed.context["cl"].result_list) == found


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


# Cases ----------------------------------------------------------------------------------------------


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


def test_the_list_is_filtered_to_what_waits(admin: Client, doubts: list[Attempt]) -> None:
    assert listed(admin).count('class="field-number"') == 5
    shown = listed(admin, review="yes")
    assert shown.count('class="field-number"') == 3
    assert "overage" in shown
    assert "no charge header" in shown


def test_the_list_asks_a_bounded_number_of_questions(
    admin: Client, doubts: list[Attempt], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(12):
        listed(admin)


def test_the_list_links_to_the_cases_and_decides_nothing_itself(admin: Client, doubts: list[Attempt]) -> None:
    shown = listed(admin, review="yes")
    for attempt in Attempt.objects.for_review():
        assert f'<a href="/t/aurora/review/?case=attempt-{attempt.pk}">review</a>' in shown
    assert listed(admin).count(">review</a>") == 3
    for action in ("decide", "acknowledge", "delete_selected"):
        data = {"action": action, "_selected_action": [str(one.pk) for one in doubts], "post": "yes"}
        admin.post(reverse("admin:jobs_attempt_changelist"), data | {"decided": "yes", "reason": "asked"})
    assert Attempt.objects.filter(state="in_doubt").count() == 2


def staff(*rights: str) -> User:
    """Return the browser of a user who may view the admin's jobs, and has these rights."""
    user = User.objects.create_user("staff@example.org", is_staff=True)
    looks = Permission.objects.filter(content_type__app_label="jobs", codename__startswith="view_")
    user.user_permissions.set([*looks, *Permission.objects.filter(codename__in=rights)])
    return user


# The account ----------------------------------------------------------------------------------------

BOUGHT = {"bought_at_0": "2026-05-01", "bought_at_1": "12:00:00", "credits": "50.000001", "note": "a pack"}


def buy(admin: Client, **changes: str) -> HttpResponse:
    return admin.post(reverse("admin:jobs_purchase_add"), BOUGHT | changes)  # type: ignore[return-value]


def test_a_purchase_is_entered(admin: Client, settings: Settings) -> None:
    settings.PIXIAN_API_URL = "https://api.pixian.ai"
    assert buy(admin, upstream="elsewhere", microcredits="1").status_code == 302
    row = Purchase.objects.get()
    assert (row.microcredits, row.account.upstream, row.note) == (
        50_000_001,
        "https://api.pixian.ai",
        "a pack",
    )
    assert row.entered_by.email == "root@example.org"
    page = admin.get(reverse("admin:jobs_purchase_change", args=[row.pk])).content.decode()
    assert "50.000001" in page
    assert "https://api.pixian.ai" in page
    assert "50.000001" in admin.get(reverse("admin:jobs_purchase_changelist")).content.decode()


def test_of_a_time_that_clocks_repeat_the_first_is_meant_and_one_that_they_skip_is_refused(
    admin: Client, settings: Settings
) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    assert buy(admin, bought_at_0="2025-10-26", bought_at_1="02:30:00").status_code == 302
    assert Purchase.objects.get().bought_at == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    refused = buy(admin, bought_at_0="2025-03-30", bought_at_1="02:30:00")
    assert "clocks were put forward" in refused.content.decode()


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
    BalanceSnapshot.objects.create(
        account_id=accounts.current_id(), asked_at=now, came_at=now, microcredits=CREDIT
    )
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
