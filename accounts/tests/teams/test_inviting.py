"""Inviting on the team's page: the mail, the link that is shown once, and thinking better of it."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts.models import Invitation, Role, Team, User
from accounts.teams import invitations
from accounts.tests.teams.team_pages import DORA, log_in, page, text, told
from conftest import World

pytestmark = pytest.mark.both_databases


def invite(client: Client, world: World, **answers: Any) -> Any:
    return client.post(page(world, "invite"), {"email": DORA, "role": Role.MEMBER.value} | answers)


def the_shown_link(response: Any) -> str:
    (link,) = re.findall(r'id="link" type="text" readonly data-copy value="([^"]+)"', text(response))
    return str(link)


def test_an_invitation_is_mailed_and_its_link_shown_once(
    world: World, client: Client, settings: Settings
) -> None:
    settings.MAIL_LEAVES = True
    response = invite(log_in(client, "alice"), world, email="Dora@example.org")
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert "We sent them an email" in told(response)
    link = the_shown_link(response)
    assert link in mail.outbox[0].body
    assert Client().get(urlsplit(link).path).status_code == 200
    later = text(client.get(page(world)))
    assert DORA in later
    assert "valid until" in later
    assert link not in later


def test_without_mail_the_link_is_given_by_hand(world: World, client: Client) -> None:
    assert "This site doesn" in told(invite(log_in(client, "alice"), world))


def test_a_mail_server_that_is_down_is_said_and_the_link_works(
    world: World, client: Client, settings: Settings, mail_server_down: None
) -> None:
    settings.MAIL_LEAVES = True
    response = invite(log_in(client, "alice"), world)
    assert response.status_code == 200
    assert "couldn't be sent" in told(response).replace("&#x27;", "'")
    assert Client().get(urlsplit(the_shown_link(response)).path).status_code == 200


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"email": "nobody"}, "valid email"),
        ({"email": ""}, "required"),
        ({"email": "BOB@example.org"}, "already in the team"),
        ({"role": "5"}, "valid choice"),
        ({"role": "x"}, "valid choice"),
        ({"role": ""}, "required"),
    ],
)
def test_what_is_wrong_is_said_and_stays(
    world: World, client: Client, answers: dict[str, str], complaint: str
) -> None:
    response = invite(log_in(client, "alice"), world, **answers)
    assert complaint in text(response)
    assert f'value="{answers.get("email", DORA)}"' in text(response) or not answers.get("email", DORA)
    assert not Invitation.objects.exists()
    assert not mail.outbox


@pytest.mark.parametrize(("who", "allowed"), [("mona", False), ("alice", True)])
def test_only_owners_invite_owners(world: World, client: Client, mona: User, who: str, allowed: bool) -> None:
    invite(log_in(client, who), world, role=Role.OWNER.value)
    assert Invitation.objects.exists() == allowed
    invite(client, world, role=Role.MANAGER.value)
    assert Invitation.objects.get().role == Role.MANAGER


def test_too_many_at_once_are_stopped(world: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "PER_MINUTE", 1)
    log_in(client, "alice")
    invite(client, world)
    response = invite(client, world, email="erik@example.org")
    assert "You can invite again in" in text(response)
    assert 'value="erik@example.org"' in text(response)
    assert Invitation.objects.count() == 1


def test_revoking_and_inviting_again(world: World, client: Client) -> None:
    link = the_shown_link(invite(log_in(client, "alice"), world))
    address = page(world, "revoke_invitation", Invitation.objects.get().pk)
    assert "its link no longer works" in told(client.post(address, follow=True))
    assert Client().get(urlsplit(link).path).status_code == 404
    assert "already been used or revoked" in told(client.post(address, follow=True))
    assert Client().get(urlsplit(the_shown_link(invite(client, world))).path).status_code == 200


def test_an_invitation_of_another_team_stays(world: World, client: Client) -> None:
    others = Team.objects.get(slug="outsiders")
    theirs = invitations.invite(others, DORA, Role.MEMBER, world.charlie).invitation
    log_in(client, "alice").post(page(world, "revoke_invitation", theirs.pk))
    assert Invitation.objects.get() == theirs


def test_an_expired_one_is_shown_as_such(world: World, client: Client) -> None:
    invitations.invite(world.team, DORA, Role.MEMBER, world.alice)
    Invitation.objects.update(expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert "expired" in text(log_in(client, "alice").get(page(world)))
