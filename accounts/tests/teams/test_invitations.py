"""Invitations: a token of which a hash is kept, a mail, a week, and one person who comes in."""

import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone, translation
from pytest_django import Settings

from accounts import rate_limits
from accounts.auth.log_redaction import hide
from accounts.models import Invitation, Membership, Role, Team, User
from accounts.teams import invitations
from accounts.teams.invitations import GoneError, Sent
from accounts.tests.auth.mailbox import the_link, the_mail
from conftest import World

pytestmark = pytest.mark.both_databases

DORA = "dora@example.org"


def invite(world: World, email: str = DORA, role: Role = Role.MEMBER, by: User | None = None) -> Sent:
    return invitations.invite(world.team, email, role, by or world.alice)


def token_of(sent: Sent) -> str:
    (token,) = re.findall("/join/([^/]+)/$", sent.link)
    return str(token)


def test_an_invitation_is_kept_as_a_hash_for_a_week(world: World, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://cutouts.example.org"
    sent = invite(world, "Dora@Example.org", Role.MANAGER)
    token = token_of(sent)
    assert sent.link == f"https://cutouts.example.org/join/{token}/"
    assert len(token) == 43  # 256 bits, six in each character
    row = Invitation.objects.get()
    assert (row.email, row.role, row.invited_by) == (DORA, Role.MANAGER, world.alice)
    assert row.token_sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert abs(row.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
    assert invitations.find(token) == row
    assert token not in repr(sent)


def test_every_token_is_another(world: World) -> None:
    assert len({token_of(invite(world, f"{n}@example.org")) for n in range(10)}) == 10


def test_the_mail_says_who_asks_whom_into_what(world: World) -> None:
    sent = invite(world)
    assert sent.mailed
    assert the_mail().to == [DORA]
    assert the_mail().subject == "[Pixian Web] Join the team Aurora"
    assert "alice@example.org invites you to join the team Aurora" in the_mail().body
    assert sent.link.endswith(the_link())


def test_it_speaks_the_inviters_language_and_escapes_nothing(world: World) -> None:
    Team.objects.filter(pk=world.team.pk).update(name="Bläck & <White>\nBcc: x@example.org")
    world.team.refresh_from_db()
    with translation.override("fr"):
        invite(world)
    assert "Bläck & <White> Bcc: x@example.org" in the_mail().subject
    assert "Bläck & <White>" in the_mail().body
    assert the_mail().recipients() == [DORA]


def test_a_newer_one_takes_the_place_of_the_older(world: World) -> None:
    first, second = invite(world), invite(world, "DORA@example.org", Role.VIEWER, world.bob)
    assert invitations.find(token_of(first)) is None
    row = invitations.find(token_of(second))
    assert row
    assert (row.role, row.invited_by, Invitation.objects.count()) == (Role.VIEWER, world.bob, 1)


@pytest.mark.parametrize("failure", ["mail_server_down", "mail_is_printed"])
def test_without_a_mail_there_still_is_the_link(
    world: World, failure: str, request: pytest.FixtureRequest, capsys: Any, caplog: Any
) -> None:
    request.getfixturevalue(failure)
    sent = invite(world)
    assert not sent.mailed
    assert invitations.find(token_of(sent))
    said = "".join(capsys.readouterr()) + caplog.text
    assert token_of(sent) not in said
    assert ("couldn't be mailed" in said) == (failure == "mail_server_down")


def test_an_address_that_no_server_takes_fails_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def refuse(*args: Any, **_options: Any) -> None:
        raise UnicodeEncodeError("ascii", args[1], 0, 1, f"not in {args[1]}")

    monkeypatch.setattr("accounts.mail.send_mail", refuse)
    sent = invite(world)
    assert not sent.mailed
    assert token_of(sent) not in caplog.text


def test_nobody_floods_strangers_with_mails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now = rate_limits._now()
    monkeypatch.setattr(
        rate_limits, "_now", lambda: now
    )  # on a slow machine the next one would be due meanwhile
    for number in range(invitations.PER_MINUTE):
        invite(world, f"{number}@example.org")
    with pytest.raises(rate_limits.TooFastError):
        invite(world)
    assert len(mail.outbox) == invitations.PER_MINUTE
    assert invite(world, by=world.bob)


@pytest.mark.parametrize("token", ["", "x", "é", "\ud800", "a" * 10_000, "' OR 1=1"])
def test_a_malformed_token_finds_no_invitation(world: World, token: str) -> None:
    invite(world)
    assert invitations.find(token) is None


def test_a_hash_is_no_token(world: World) -> None:
    assert invitations.find(invite(world).invitation.token_sha256) is None


def test_after_a_week_it_is_over(world: World) -> None:
    sent = invite(world)
    row = sent.invitation
    Invitation.objects.update(expires_at=timezone.now())
    assert invitations.find(token_of(sent)) is None
    with pytest.raises(GoneError):
        invitations.accept(row, world.charlie)


def test_its_address_is_deleted_a_month_after_its_end(world: World) -> None:
    now = timezone.now()
    for name, days in (("waiting", -1), ("expired", 29), ("long-expired", 31)):
        invitations.invite(world.team, f"{name}@example.org", Role.MEMBER, world.alice)
        row = Invitation.objects.filter(email=f"{name}@example.org")
        row.update(expires_at=now - timedelta(days=days))
    assert invitations.purge() == 1
    left = Invitation.objects.order_by("email").values_list("email", flat=True)
    assert list(left) == ["expired@example.org", "waiting@example.org"]


def test_whoever_may_not_log_in_any_more_lets_nobody_in(world: World) -> None:
    sent = invite(world)
    User.objects.filter(pk=world.alice.pk).update(is_active=False)
    assert invitations.find(token_of(sent)) is None


def test_accepting_lets_in_once(world: World) -> None:
    row = invite(world, world.charlie.email, Role.MANAGER).invitation
    member = invitations.accept(row, world.charlie)
    assert (member.team, member.user, member.role) == (world.team, world.charlie, Role.MANAGER)
    assert not Invitation.objects.exists()
    with pytest.raises(GoneError):
        invitations.accept(row, world.charlie)


def test_whoever_is_in_already_stays_what_they_are(world: World) -> None:
    row = invite(world, world.bob.email, Role.OWNER).invitation
    assert invitations.accept(row, world.bob).role == Role.MEMBER


def test_someone_new_gets_an_account(world: World) -> None:
    row = invite(world).invitation
    user = invitations.accept_as_new(row, "Dora Long", "a rather long sentence")
    assert (user.email, user.get_full_name()) == (DORA, "Dora Long")
    assert user.check_password("a rather long sentence")
    assert Membership.objects.get(user=user).role == Role.MEMBER
    with pytest.raises(GoneError):
        invitations.accept_as_new(row, "Dora", "a rather long sentence")


def test_a_revoked_one_is_over(world: World) -> None:
    sent = invite(world)
    invitations.revoke(sent.invitation)
    assert invitations.find(token_of(sent)) is None
    with pytest.raises(GoneError):
        invitations.accept_as_new(sent.invitation, "Dora", "a rather long sentence")
    assert not User.objects.filter(email=DORA).exists()


def test_nobody_invites_above_themselves() -> None:
    assert [len(invitations.roles(role)) for role in Role] == [0, 0, 3, 4]
    assert Role.OWNER not in invitations.roles(Role.MANAGER)


# Two at once ---------------------------------------------------------------------------------------


def accept_at_once(invitation: Invitation, users: list[User]) -> int:
    """Return how many came in, each with a connection of their own."""
    start = threading.Barrier(len(users), timeout=30)

    def accept(user: User) -> bool:
        start.wait()
        try:
            invitations.accept(invitation, user)
        except GoneError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(len(users)) as pool:
        return sum(pool.map(accept, users))


def test_of_several_who_hold_a_link_one_comes_in(committed_world: World) -> None:
    world = committed_world
    people = [User.objects.create_user(f"{n}@example.org") for n in range(4)]
    assert accept_at_once(invite(world).invitation, people) == 1
    assert world.team.memberships.count() == 4


def test_looked_at_before_it_is_used_up_it_lets_in_all(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: everybody has seen that it is there before anybody uses it up."""
    world = committed_world
    people = [User.objects.create_user(f"{n}@example.org") for n in range(4)]
    monkeypatch.setattr(invitations, "_use_up", lambda invitation: Invitation.objects.get(pk=invitation.pk))
    assert accept_at_once(invite(world).invitation, people) == 4
    assert world.team.memberships.count() == 7


# Logs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/join/abc-_1/", "/join/…/"),
        (
            "https://cutouts.example.org/join/abc-_1/ was refused",
            "https://cutouts.example.org/join/…/ was refused",
        ),
        ("/join/abc", "/join/…"),
        ("/in/1/abc-def/", "/in/1/…/"),
        ("/accounts/password/reset/key/1-abc/", "/accounts/password/reset/key/…/"),
        ("/accounts/confirm-email/abc:def/", "/accounts/confirm-email/…/"),
        ("/t/aurora/team/", "/t/aurora/team/"),
    ],
)
def test_tokens_stay_out_of_logs(text: str, shown: str) -> None:
    assert hide(text) == shown
