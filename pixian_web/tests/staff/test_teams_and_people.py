"""Staff find every team and person, with what they have and spent, page by page."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import LedgerAccount, Membership, Team, User
from conftest import World
from jobs.models import UsageDay
from pixian_web.staff import paging

pytestmark = pytest.mark.both_databases


@pytest.fixture
def staff(world: World, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root@example.org"))
    return client


def text_of(staff: Client, address: str) -> str:
    return " ".join(staff.get(address).content.decode().split())


def test_a_team_is_listed_with_its_credits(staff: Client, world: World) -> None:
    held = ledger.hold(world.team, 3 * CREDIT, key="h", reference="job:1:1", actor=world.bob)
    ledger.settle(held, 2 * CREDIT)
    ledger.hold(world.team, CREDIT, key="h2", reference="job:2:1", actor=world.bob)
    page = staff.get("/staff/teams/")
    (row,) = [row for row in page.context["rows"] if row.team == world.team]
    assert row.money == ledger.Balances(available=97 * CREDIT, held=CREDIT, spent=2 * CREDIT, owed=0)
    assert row.members == 3
    assert row.active_at == world.team.transfers.latest("pk").created_at
    assert 'href="/t/aurora/credits/"' in page.content.decode()


def test_what_a_team_owes_is_marked(staff: Client, world: World) -> None:
    LedgerAccount.objects.filter(team=world.team, kind="owed").update(balance_microcredits=-5 * CREDIT)
    page = staff.get("/staff/teams/").content.decode()
    assert page.count('class="state doubt"') == 1


def test_teams_and_people_are_searched(staff: Client, world: World) -> None:
    assert "Outsiders" not in text_of(staff, "/staff/teams/?q=auro")
    assert "Aurora" in text_of(staff, "/staff/teams/?q=auro")
    assert "No team has this in its name." in text_of(staff, "/staff/teams/?q=nowhere")
    found = text_of(staff, "/staff/people/?q=%20ALICE@")
    assert "alice@example.org" in found
    assert "bob@example.org" not in found
    assert "Nobody has this in their address." in text_of(staff, "/staff/people/?q=nobody")


@pytest.mark.parametrize(("kind", "field"), [("teams", "team"), ("people", "person")])
def test_each_is_on_one_page(
    staff: Client, world: World, monkeypatch: pytest.MonkeyPatch, kind: str, field: str
) -> None:
    """Two teams of the same name too."""
    monkeypatch.setattr(paging, "SIZE", 2)
    for number in range(3):
        Team.objects.create(name="Twins", slug=f"twins-{number}")
    seen, address = [], f"/staff/{kind}/"
    while address:
        context = staff.get(address).context
        seen += [getattr(row, field) for row in context["rows"]]
        address = f"/staff/{kind}/?after={context['after']}" if context["after"] else ""
    model = Team if kind == "teams" else User
    assert seen == list(model.objects.order_by("name" if kind == "teams" else "email", "pk"))


@pytest.mark.parametrize("after", ["x", "0", "-1", "9" * 30, "1.5"])
def test_a_place_that_is_none_begins_at_the_beginning(staff: Client, after: str) -> None:
    assert len(staff.get("/staff/teams/", {"after": after}).context["rows"]) == 2


def test_a_person_is_listed_with_allowance_and_spending(staff: Client, world: World) -> None:
    member = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(member, limit=10 * CREDIT, period="month")
    ledger.hold(world.team, 4 * CREDIT, key="h", reference="job:1:1", actor=world.bob)
    day, usage = timezone.localdate(), {"team": world.team, "spender": world.bob, "origin": "browser"}
    UsageDay.objects.create(day=day, bucket="a", booked=2 * CREDIT, **usage)
    UsageDay.objects.create(day=day - timedelta(days=29), bucket="b", booked=CREDIT, **usage)
    UsageDay.objects.create(day=day - timedelta(days=31), bucket="c", booked=7 * CREDIT, **usage)
    rows = staff.get("/staff/people/").context["rows"]
    places = {row.person.email: row.places for row in rows}
    (bobs,) = places["bob@example.org"]
    assert (bobs.spent, bobs.standing.used, bobs.standing.limit) == (3 * CREDIT, 4 * CREDIT, 10 * CREDIT)
    assert places["vera@example.org"][0].spent == 0
    assert places["root@example.org"] == []
    page = text_of(staff, "/staff/people/")
    assert "4 of 10 this month" in page
    assert "3 spent" in page


def test_more_rows_ask_no_more_questions(
    staff: Client, world: World, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        user = User.objects.create_user(f"user-{number}@example.org")
        team = Team.objects.create(name=f"Team {number}", slug=f"team-{number}")
        allowances.grant(Membership.objects.create(user=user, team=team), limit=CREDIT, period="day")
    for address in ("/staff/teams/", "/staff/people/"):
        with django_assert_max_num_queries(10):
            assert len(staff.get(address).context["rows"]) > 20


def test_the_panel_has_a_figure_for_each(staff: Client, world: World) -> None:
    page = text_of(staff, "/staff/")
    for address in (
        "/staff/teams/",
        "/staff/people/",
        "/staff/upstream/",
        "/health/",
        "/staff/settings/",
        "/admin/",
    ):
        assert f'href="{address}"' in page
    assert "no worker is running" in page
    assert "0 calls in flight" in page
