"""The tenancy gate, the log-in in front of it, and nobody signing up by themselves."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import Membership, Role, Team, User
from accounts.teams.create import open_team
from accounts.teams.permissions import enter
from conftest import World

pytestmark = pytest.mark.both_databases

LEVELS = [Role.VIEWER, Role.MEMBER, Role.MANAGER, Role.OWNER]


def entering(user: User | AnonymousUser, slug: str, at_least: Role = Role.VIEWER) -> Membership:
    request = RequestFactory().get("/")
    request.user = user
    return enter(request, slug, at_least)


def with_role(world: World, role: Role) -> User:
    user = User.objects.create_user(f"role{role.value}@example.org")
    Membership.objects.create(team=world.team, user=user, role=role)
    return user


def test_a_member_enters_their_team(world: World) -> None:
    membership = entering(world.bob, world.team.slug)
    assert (membership.user, membership.team, membership.role) == (world.bob, world.team, Role.MEMBER)


@pytest.mark.parametrize("at_least", LEVELS, ids=lambda role: f"asks-{role.name}")
@pytest.mark.parametrize("role", LEVELS, ids=lambda role: f"is-{role.name}")
def test_each_role_includes_what_stands_below_it(world: World, role: Role, at_least: Role) -> None:
    user = with_role(world, role)
    if role >= at_least:
        assert entering(user, world.team.slug, at_least).role == role
    else:
        with pytest.raises(PermissionDenied, match="Ask an owner"):
            entering(user, world.team.slug, at_least)


def test_a_team_of_others_looks_like_no_team(world: World) -> None:
    for user in (world.charlie, AnonymousUser()):
        for slug in (world.team.slug, "no-such-team"):
            with pytest.raises(Http404) as caught:
                entering(user, slug, Role.OWNER)
            assert str(caught.value) == ""


def test_a_role_counts_in_its_own_team_only(world: World) -> None:
    Membership.objects.filter(user=world.charlie).update(role=Role.OWNER)
    Membership.objects.create(team=world.team, user=world.charlie, role=Role.VIEWER)
    with pytest.raises(PermissionDenied):
        entering(world.charlie, world.team.slug, Role.MEMBER)


def test_a_superuser_is_a_member_like_anybody(world: World) -> None:
    with pytest.raises(Http404):
        entering(User.objects.create_superuser("root@example.org"), world.team.slug)


def test_the_way_in_leads_to_ones_first_team(world: World, client: Client) -> None:
    open_team("Later", world.bob)
    client.force_login(world.bob)
    response = client.get(reverse("home"))
    assert (response.status_code, response.headers["Location"]) == (302, f"/t/{world.team.slug}/")


def test_whoever_is_in_no_team_is_reported(world: World, client: Client) -> None:
    client.force_login(User.objects.create_user("dora@example.org"))
    response = client.get(reverse("home"))
    assert response.status_code == 200
    assert "t in a team yet" in response.content.decode()


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@Example.ORG", "Alice@example.org"])
def test_an_e_mail_address_logs_in_in_any_case(world: World, client: Client, email: str) -> None:
    response = client.post(reverse("account_login"), {"login": email, "password": "correct horse"})
    assert (response.status_code, response.headers["Location"]) == (302, reverse("home"))
    assert client.session["_auth_user_id"] == str(world.alice.pk)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("alice@example.org", "wrong"),
        ("alice@example.org", "Correct Horse"),
        ("nobody@example.org", "correct horse"),
        ("alice@example.org", ""),
    ],
)
def test_anything_else_does_not_log_in(world: World, client: Client, email: str, password: str) -> None:
    client.post(reverse("account_login"), {"login": email, "password": password})
    assert "_auth_user_id" not in client.session


def test_an_inactive_user_does_not_log_in(world: World, client: Client) -> None:
    User.objects.filter(pk=world.alice.pk).update(is_active=False)
    client.post(reverse("account_login"), {"login": "alice@example.org", "password": "correct horse"})
    assert "_auth_user_id" not in client.session


def test_one_person_has_one_address_however_it_is_typed(world: World) -> None:
    user = User.objects.create_user(" Dora@Example.ORG ")
    assert user.email == "dora@example.org"


def test_nobody_signs_up_by_themselves(db: None, client: Client) -> None:
    page = client.get(reverse("account_signup"))
    assert "password1" not in page.content.decode()
    answers = {"email": "dora@example.org", "password1": "a long sentence", "password2": "a long sentence"}
    client.post(reverse("account_signup"), answers)
    assert not User.objects.exists()
    assert not Team.objects.exists()
    assert "_auth_user_id" not in client.session


def test_strangers_see_the_log_in_page_and_the_probe_alone(db: None, client: Client) -> None:
    assert client.get(reverse("account_login")).status_code == 200
    assert client.get(reverse("healthz")).status_code == 200
    for name in ("home", "account_email", "account_change_password"):
        response = client.get(reverse(name))
        assert response.status_code == 302
        assert response.headers["Location"].startswith(reverse("account_login"))


def test_a_script_learns_that_it_is_signed_out(db: None, client: Client) -> None:
    response = client.get(reverse("home"), headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "signed out" in response.content.decode()
