"""``setup_team``: one line of JSON for scripts, and errors that say what to change."""

import io
import json
import logging
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.ledger import operations as ledger
from accounts.ledger.operations import Balances
from accounts.models import ApiKey, Membership, Role, Scope, Team, User
from accounts.tests.auth.factors import with_app
from accounts.tests.kept import everything_kept
from conftest import World
from pixian.protocol.credentials import Credentials

pytestmark = pytest.mark.both_databases


def setup_team(*arguments: str) -> dict[str, Any]:
    """Return the command's output, which is one line of JSON."""
    out = io.StringIO()
    call_command("setup_team", *arguments, stdout=out)
    (line,) = out.getvalue().splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_a_team_with_a_new_owner(db: None, client: Client, settings: Settings) -> None:
    answer = setup_team("Équipe Nord", "--owner", "Dora@Example.org", "--credits", "12.5")

    link = answer.pop("login_link")
    assert answer == {
        "team": "Équipe Nord",
        "slug": "equipe-nord",
        "owner": "dora@example.org",
        "credits": "12.5",
    }
    team = Team.objects.get(slug="equipe-nord")
    assert ledger.balances(team) == Balances(available=12_500_000)
    member = Membership.objects.get(team=team)
    assert (member.user.email, member.role) == ("dora@example.org", Role.OWNER)
    assert not member.user.has_usable_password()

    client.get(link.removeprefix(settings.PUBLIC_URL), follow=True)
    assert client.get(reverse("workspace", args=[team.slug])).status_code == 200


def test_a_new_owner_can_be_given_a_password(db: None) -> None:
    setup_team("North", "--owner", "dora@example.org", "--password", "a long sentence")
    assert User.objects.get(email="dora@example.org").check_password("a long sentence")


@pytest.mark.parametrize("name", ["", "  ", "n" * 81, "a\0b", "\udcff"])
def test_a_team_needs_a_name_that_can_be_stored(db: None, name: str) -> None:
    with pytest.raises(CommandError, match="1 to 80 characters"):
        setup_team(name, "--owner", "dora@example.org")
    assert not Team.objects.exists()


def test_no_credits_are_fine(db: None) -> None:
    assert setup_team("North", "--owner", "dora@example.org")["credits"] == "0"


def test_a_created_key_works(db: None) -> None:
    answer = setup_team("North", "--owner", "dora@example.org", "--api-key", "Web shop")
    key = keys.find(answer["api_id"], answer["api_secret"])
    assert (key.name, key.team.name, key.owner.email) == ("Web shop", "North", "dora@example.org")
    assert [scope for scope in Scope if key.allows(scope)] == list(Scope)
    assert key.expires_at is None


def test_without_being_asked_it_makes_none(db: None) -> None:
    assert "api_id" not in setup_team("North", "--owner", "dora@example.org")
    assert not ApiKey.objects.exists()


def test_the_secret_is_printed_and_kept_nowhere(db: None, caplog: pytest.LogCaptureFixture) -> None:
    for name in (None, "accounts"):
        caplog.set_level(logging.DEBUG, name)
    answer = setup_team("North", "--owner", "dora@example.org", "--api-key", "Web shop")
    made = Credentials(answer["api_id"], answer["api_secret"])
    kept = everything_kept()
    assert made.api_id in kept
    assert not [form for form in (made.api_secret, made.api_key) if form in kept + caplog.text]


def test_someone_who_exists_owns_the_new_team_too(world: World) -> None:
    answer = setup_team("North", "--owner", "ALICE@example.org")
    assert answer["owner"] == "alice@example.org"
    assert world.alice.teams.count() == 2
    assert User.objects.get(pk=world.alice.pk).check_password("correct horse")


def test_no_link_goes_past_a_second_factor(world: World) -> None:
    """Scripts store what the command prints."""
    with_app(world.alice)
    assert setup_team("North", "--owner", "alice@example.org")["login_link"] is None


def test_where_the_team_is_refused_no_key_is_made(world: World) -> None:
    refused("Aurora", "--owner", "dora@example.org", "--api-key", "Web shop")
    assert not ApiKey.objects.exists()


def refused(*arguments: str) -> str:
    """Return the text of the refusal; nothing may have been written."""
    before = (Team.objects.count(), User.objects.count(), Membership.objects.count())
    with pytest.raises(CommandError) as caught:
        setup_team(*arguments)
    assert (Team.objects.count(), User.objects.count(), Membership.objects.count()) == before
    return str(caught.value)


def test_a_name_is_taken_once(world: World) -> None:
    assert "Aurora" in refused("Aurora", "--owner", "dora@example.org")


def test_a_password_of_someone_who_exists_is_left_alone(world: World) -> None:
    assert "leave --password out" in refused(
        "North", "--owner", "alice@example.org", "--password", "mine now"
    )
    assert User.objects.get(pk=world.alice.pk).check_password("correct horse")


@pytest.mark.parametrize("email", ["", "dora", "dora@", "@example.org", "a b@example.org"])
def test_an_owner_has_an_e_mail_address(db: None, email: str) -> None:
    assert "not an e-mail address" in refused("North", "--owner", email)


def test_an_owner_is_needed(db: None) -> None:
    assert "--owner" in refused("North")


@pytest.mark.parametrize(
    ("credits_", "complaint"),
    [
        ("", "not a number"),
        ("ten", "not a number"),
        ("1,5", "not a number"),
        ("0.0000001", "not a number"),
        ("NaN", "not a number"),
        ("sNaN", "not a number"),
        ("Infinity", "not a number"),
        ("-1", "out of range"),
        ("1000000000000", "out of range"),
        ("1e999999", "--credits"),
    ],
)
def test_credits_are_a_plain_number(db: None, credits_: str, complaint: str) -> None:
    assert complaint in refused("North", "--owner", "dora@example.org", f"--credits={credits_}")
