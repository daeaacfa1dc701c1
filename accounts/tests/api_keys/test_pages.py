"""The keys' pages: who makes, sees, limits and revokes which; and a secret that is shown once."""

import logging
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.ledger import allowances
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Allowance, ApiKey, Membership, Role, Scope, User
from accounts.tests.kept import everything_kept
from conftest import World
from pixian.protocol.credentials import Credentials

pytestmark = pytest.mark.both_databases

SECRET = re.compile(r"(px[a-z0-9]{13}):([0-9a-v]{52})")
ALL = list(Scope)


def page(world: World, name: str = "keys", *args: Any) -> str:
    return reverse(name, args=[world.team.slug, *args])


def make(client: Client, world: World, user: User, **typed: Any) -> Any:
    client.force_login(user)
    return client.post(page(world), {"name": "shop", "scopes": ALL} | typed)


def text(response: Any) -> str:
    return str(response.content.decode())


@pytest.fixture
def manager(world: World) -> User:
    user = User.objects.create_user("mia@example.org")
    Membership.objects.create(team=world.team, user=user, role=Role.MANAGER)
    return user


def test_a_member_makes_a_key_and_sees_its_secret_once(world: World, client: Client) -> None:
    response = make(client, world, world.bob, scopes=["cutouts", "balance"], expires_on="2099-12-31")
    assert (response.status_code, "no-store" in response["Cache-Control"]) == (200, True)
    found = SECRET.search(text(response))
    assert found
    key = keys.find(*found.groups())
    assert (key.team, key.owner, key.name, key.scopes) == (world.team, world.bob, "shop", "cutouts balance")
    assert key.expires_at
    assert key.expires_at.isoformat() == "2100-01-01T00:00:00+00:00"
    assert found[2] not in text(client.get(page(world)))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": ""}, "This field is required"),
        ({"scopes": []}, "at least one permission"),
        ({"scopes": ["everything"]}, "Select a valid choice"),
        ({"expires_on": "2020-01-01"}, "This date is in the past"),
        ({"expires_on": "soon"}, "Enter a valid date"),
        ({"expires_on": "9999-12-31"}, "Choose an earlier date"),
        ({"expires_on": "3000-01-01"}, "Choose an earlier date"),
    ],
)
def test_nothing_invalid_passes(world: World, client: Client, typed: dict[str, Any], said: str) -> None:
    response = make(client, world, world.bob, **typed)
    assert said in text(response)
    assert not ApiKey.objects.exists()


def test_a_keys_last_day_ends_in_the_instances_time_zone(
    world: World, client: Client, settings: Settings
) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    make(client, world, world.bob, expires_on="2099-06-30")
    key = ApiKey.objects.get()
    assert key.expires_at
    assert key.expires_at.isoformat() == "2099-06-30T22:00:00+00:00"


def test_a_viewer_has_no_keys(world: World, client: Client) -> None:
    assert make(client, world, world.vera).status_code == 403
    assert not ApiKey.objects.exists()


def test_members_see_their_own_and_managers_all(world: World, client: Client, manager: User) -> None:
    keys.create(world.team, world.bob, "bobs")
    keys.create(world.team, world.alice, "alices")
    client.force_login(world.bob)
    assert ("bobs" in text(client.get(page(world))), "alices" in text(client.get(page(world)))) == (
        True,
        False,
    )
    client.force_login(manager)
    assert ("bobs" in text(client.get(page(world))), "alices" in text(client.get(page(world)))) == (
        True,
        True,
    )


def test_a_revoked_key_opens_nothing_and_says_who_it_was(world: World, client: Client, manager: User) -> None:
    key, made = keys.create(world.team, world.bob, "bobs")
    client.force_login(manager)
    assert client.post(page(world, "revoke_key", key.pk)).status_code == 302
    with pytest.raises(keys.KeyDisabledError):
        keys.find(made.api_id, made.api_secret)
    assert "revoked by mia@example.org" in text(client.get(page(world)))


def test_a_member_cant_revoke_anothers(world: World, client: Client) -> None:
    key, _made = keys.create(world.team, world.alice, "alices")
    client.force_login(world.bob)
    assert client.post(page(world, "revoke_key", key.pk)).status_code == 404
    key.refresh_from_db()
    assert key.is_usable


def test_a_manager_sets_and_lifts_an_allowance(world: World, client: Client, manager: User) -> None:
    key, _made = keys.create(world.team, world.bob, "bobs")
    client.force_login(manager)
    typed = {"credits": "2.5", "period": "week", "warn_percent": "50"}
    assert client.post(page(world, "key_allowance", key.pk), typed).status_code == 302
    allowance = Allowance.objects.get(api_key=key)
    assert (allowance.limit_microcredits, allowance.period, allowance.warn_percent) == (2_500_000, "week", 50)
    assert "0 of 2.5 credits used" in text(client.get(page(world)))
    bad = client.post(page(world, "key_allowance", key.pk), typed | {"credits": "-1"})
    assert "greater than or equal to 0" in text(bad)
    assert client.post(page(world, "lift_key_allowance", key.pk)).status_code == 302
    assert not Allowance.objects.exists()


@pytest.mark.parametrize("who", ["alice", "mia"])
def test_a_manager_limits_no_key_of_an_owner_or_a_manager(
    world: World, client: Client, manager: User, who: str
) -> None:
    """Their own neither: a limit that managers could remove themselves would be none."""
    key, _made = keys.create(world.team, User.objects.get(email=f"{who}@example.org"), "shop")
    limited, _made = keys.create(world.team, world.bob, "bobs")
    allowances.grant(key, limit=CREDIT, period="day")
    client.force_login(manager)
    assert page(world, "key_allowance", key.pk) not in text(client.get(page(world)))
    assert page(world, "key_allowance", limited.pk) in text(client.get(page(world)))
    typed = {"credits": "99", "period": "day", "warn_percent": "80"}
    for name in ("key_allowance", "lift_key_allowance"):
        assert client.post(page(world, name, key.pk), typed).status_code == 403
    assert "Ask an owner of the team." in text(client.get(page(world, "key_allowance", key.pk)))
    assert Allowance.objects.get().limit_microcredits == CREDIT

    client.force_login(world.alice)
    assert page(world, "key_allowance", key.pk) in text(client.get(page(world)))
    assert client.post(page(world, "lift_key_allowance", key.pk)).status_code == 302
    assert not Allowance.objects.exists()


def test_a_member_sets_no_limits(world: World, client: Client) -> None:
    key, _made = keys.create(world.team, world.bob, "bobs")
    allowances.grant(key, limit=CREDIT, period="day")
    client.force_login(world.bob)
    assert client.get(page(world, "key_allowance", key.pk)).status_code == 403
    assert client.post(page(world, "lift_key_allowance", key.pk)).status_code == 403
    assert Allowance.objects.exists()


def test_the_secret_is_kept_nowhere(world: World, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in a column of any table nor in a session, encrypted though it is, nor in a log."""
    for name in (None, "accounts"):
        caplog.set_level(logging.DEBUG, name)
    found = SECRET.search(text(make(client, world, world.bob)))
    assert found
    kept = everything_kept()
    assert found[1] in kept
    read = kept + repr(dict(client.session)) + caplog.text
    assert not [form for form in (found[2], Credentials(*found.groups()).api_key) if form in read]


def test_the_key_page_is_for_its_own_team(world: World, client: Client) -> None:
    other = Membership.objects.get(user=world.charlie).team
    key, _made = keys.create(other, world.charlie, "theirs")
    client.force_login(world.alice)
    for name in ("revoke_key", "lift_key_allowance"):
        assert client.post(page(world, name, key.pk)).status_code == 404
