"""The page for programs: the reader's own host and key, in every language, for every role."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.models import Scope
from conftest import World
from jobs.api.openapi.document import document
from jobs.calls.responses import RELAYED
from jobs.views.teams.quick_start import LANGUAGES
from pixian.protocol.errors import Code


def fields(path: str) -> list[str]:
    """Return the names of a form's fields."""
    content = document()["paths"][path]["post"]["requestBody"]["content"]
    return list(content["multipart/form-data"]["schema"]["properties"])


def shown(client: Client, world: World) -> str:
    response = client.get(reverse("quick_start", args=[world.team.slug]))
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("name", ["vera", "bob", "alice"])
def test_every_language_has_the_readers_host(
    world: World, client: Client, settings: Settings, name: str
) -> None:
    settings.PUBLIC_URL = "https://cutouts.example.org"
    client.force_login(getattr(world, name))
    page = shown(client, world)
    assert page.count("https://cutouts.example.org/api/v2/remove-background") == len(LANGUAGES)
    assert page.count("YOUR_API_SECRET") >= len(LANGUAGES)
    assert "pixian-web.py login https://cutouts.example.org" in page


def test_the_readers_own_key_is_filled_in(world: World, client: Client) -> None:
    mine, secret = keys.create(world.team, world.bob, "mine")
    theirs, _ = keys.create(world.team, world.alice, "theirs")
    client.force_login(world.bob)
    page = shown(client, world)
    assert (mine.api_id in page, theirs.api_id in page, secret.api_secret in page) == (True, False, False)
    keys.revoke(mine, world.bob)
    assert mine.api_id not in shown(client, world)


def test_a_key_that_the_samples_fail_with_isnt_filled_in(world: World, client: Client) -> None:
    reading, _ = keys.create(world.team, world.bob, "reading", scopes=[Scope.BALANCE])
    client.force_login(world.bob)
    assert reading.api_id not in shown(client, world)
    before, _ = keys.create(world.team, world.vera, "when she was a member")
    client.force_login(world.vera)
    page = shown(client, world)
    assert (before.api_id in page, "Create a key first" in page) == (False, False)
    assert "A member of the team can create one" in page


def test_it_is_there_in_french(world: World, client: Client) -> None:
    client.force_login(world.bob)
    client.cookies["django_language"] = "fr"
    assert 'lang="fr"' in shown(client, world)


def test_every_option_header_and_error_is_reported(world: World, client: Client) -> None:
    client.force_login(world.vera)
    page = shown(client, world)
    rows = set(re.findall(r'<th scope="row"><code>([^<]+)</code>', page))
    assert rows == {*fields("/api/v2/remove-background"), *RELAYED, "Content-Disposition"}
    codes = re.findall(r'<th scope="row">[\d, ]+</th>\s*<td>([^<]+)</td>', page)
    told = {int(code) for cell in codes for code in cell.split(", ")}
    assert told - {404, 405, 410, 415, 500, 502} == set(Code)


def test_it_says_what_the_drop_in_takes(world: World, client: Client) -> None:
    client.force_login(world.vera)
    page = shown(client, world)
    assert [name for name in fields("/v1.0/removebg") if f"<code>{name}</code>" not in page] == []
