"""Following an invitation: what each sees, how they come in, and that looking changes nothing."""

import logging
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Invitation, Membership, Role, Team, User
from accounts.teams import invitations
from accounts.tests.auth.mailbox import the_mail
from conftest import World

pytestmark = pytest.mark.both_databases

DORA = "dora@example.org"
ANSWERS = {"name": "Dora", "password": "a rather long sentence"}


def link(world: World, email: str = DORA, role: Role = Role.MANAGER) -> str:
    sent = invitations.invite(world.team, email, role, world.alice)
    return urlsplit(sent.link).path


def who(client: Client) -> int | None:
    number = client.session.get("_auth_user_id")
    return int(number) if number else None


def text(response: Any) -> str:
    return str(response.content.decode())


def counts() -> tuple[int, int, int]:
    return User.objects.count(), Membership.objects.count(), Invitation.objects.count()


def is_quiet(response: Any) -> bool:
    """Return True if the response is neither cached nor sent on as a referrer."""
    return response["Referrer-Policy"] == "no-referrer" and "no-store" in response["Cache-Control"]


def test_someone_new_makes_an_account_and_is_in(world: World, client: Client) -> None:
    address = link(world)
    page = client.get(address)
    assert page.status_code == 200
    for expected in ("Aurora", "alice@example.org", DORA, "manager", 'name="password"'):
        assert expected in text(page)

    response = client.post(address, ANSWERS)
    assert (response.status_code, response["Location"]) == (302, reverse("workspace", args=["aurora"]))
    dora = User.objects.get(email=DORA)
    assert who(client) == dora.pk
    assert Membership.objects.get(user=dora).role == Role.MANAGER
    assert "You have joined the team Aurora" in text(client.get(response["Location"]))
    assert Client().login(email=DORA, password=ANSWERS["password"])


def test_whoever_has_the_address_joins_by_a_button(world: World, client: Client) -> None:
    address = link(world, world.charlie.email, Role.VIEWER)
    client.force_login(world.charlie)
    assert 'name="password"' not in text(client.get(address))
    response = client.post(address)
    assert (response.status_code, response["Location"]) == (302, reverse("workspace", args=["aurora"]))
    assert Membership.objects.get(user=world.charlie, team=world.team).role == Role.VIEWER


def test_another_user_is_told_to_sign_out_first(world: World, client: Client) -> None:
    address = link(world)
    client.force_login(world.charlie)
    for response in (client.get(address), client.post(address, ANSWERS)):
        assert "You are signed in as charlie@example.org" in text(response)
        assert f'name="next" value="{address}"' in text(response)
    assert not User.objects.filter(email=DORA).exists()
    left = client.post(reverse("account_logout"), {"next": address})
    assert left["Location"] == address


def test_whoever_has_an_account_logs_in_first_and_comes_back(world: World, client: Client) -> None:
    address = link(world, world.charlie.email)
    for response in (client.get(address), client.post(address, ANSWERS)):
        assert f"{reverse('account_login')}?next={address}" in text(response)
    assert 'name="password"' not in text(response)
    answers = {"login": world.charlie.email, "password": "correct horse", "next": address}
    assert client.post(reverse("account_login"), answers)["Location"] == address
    assert world.team.memberships.count() == 3


def test_a_link_alone_does_not_tell_whether_its_address_has_an_account(world: World, client: Client) -> None:
    """Its sender has seen it too."""
    of_one_link = re.compile(r"/join/[^/]+/|value=\"[^\"]*\"|charlie@example.org|dora@example.org")
    shown = [text(client.get(link(world, email))) for email in (world.charlie.email, DORA)]
    known, unknown = (of_one_link.sub("", page) for page in shown)
    assert known == unknown


def test_members_go_to_their_team(world: World, client: Client) -> None:
    address = link(world, world.bob.email, Role.OWNER)
    client.force_login(world.bob)
    for ask in (client.get, client.post):
        assert ask(address)["Location"] == reverse("workspace", args=["aurora"])
    assert Membership.objects.get(team=world.team, user=world.bob).role == Role.MEMBER


@pytest.mark.parametrize("name", ["stranger", "charlie", "bob"])
def test_looking_changes_nothing(world: World, client: Client, name: str) -> None:
    addresses = [link(world), link(world, world.charlie.email)]
    if name != "stranger":
        client.force_login(getattr(world, name))
    before = counts()
    for address in addresses:
        assert is_quiet(client.get(address))
        assert is_quiet(client.head(address))
        assert client.put(address).status_code == 405
    assert counts() == before
    assert (who(client) is None) == (name == "stranger")


def spoiled(world: World, how: str) -> str:
    """Return the address of an invitation that is invalid for this reason."""
    address = link(world)
    match how:
        case "expired":
            Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        case "used":
            Client().post(address, ANSWERS)
        case "revoked":
            invitations.revoke(Invitation.objects.get())
        case "replaced":
            link(world)
        case "made up":
            return reverse("join", args=["nonsense"])
    return address


WAYS = ["expired", "used", "revoked", "replaced", "made up"]


@pytest.mark.parametrize("how", WAYS)
def test_what_is_no_good_looks_the_same(world: World, client: Client, how: str) -> None:
    address = spoiled(world, how)
    before = counts()
    for response in (client.get(address), client.post(address, ANSWERS)):
        assert response.status_code == 404
        assert "This invitation is no longer valid" in text(response)
        assert "Aurora" not in text(response)
        assert is_quiet(response)
    assert counts() == before
    assert who(client) is None


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"name": ""}, "required"),
        ({"password": ""}, "required"),
        ({"password": "short"}, "too short"),
        ({"password": "password1"}, "too common"),
        ({"password": "75839105738"}, "entirely numeric"),
        ({"password": "dora@example.org"}, "too similar"),
        ({"name": "Maximiliane", "password": "maximiliane"}, "too similar"),
        ({"name": "x" * 151}, "150"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    world: World, client: Client, answers: dict[str, str], complaint: str
) -> None:
    address, before = link(world), counts()
    response = client.post(address, ANSWERS | answers)
    assert complaint in text(response)
    assert f'value="{answers.get("name", "Dora")}"' in text(response) or not answers.get("name", "Dora")
    assert (counts(), who(client)) == ((before), None)


def test_an_account_that_appears_meanwhile_is_asked_to_log_in(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = link(world)
    make = User.objects.create_user

    def made_twice(email: str, *args: Any, **fields: Any) -> User:
        make(email, "somebody else's")
        return make(email, *args, **fields)

    monkeypatch.setattr(User.objects, "create_user", made_twice)
    assert client.post(address, ANSWERS).status_code == 200
    assert who(client) is None
    assert Invitation.objects.count() == 1


def test_a_forged_form_is_refused_and_the_address_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client, address = Client(enforce_csrf_checks=True), link(world)
    with caplog.at_level(logging.DEBUG):
        assert client.post(address, ANSWERS).status_code == 403
        assert client.get(reverse("join", args=["a-made-up-token"])).status_code == 404
    assert "/join/…/" in caplog.text
    assert "a-made-up-token" not in caplog.text
    assert address not in caplog.text
    assert not User.objects.filter(email=DORA).exists()


def test_it_works_with_the_mails_link_where_nobody_signs_up_alone(
    world: World, client: Client, settings: Settings
) -> None:
    settings.SIGNUP_OPEN = False
    address = link(world)
    assert address in the_mail().body
    assert client.post(address, ANSWERS).status_code == 302
    assert Team.objects.filter(memberships__user__email=DORA).get() == world.team
