"""The theme that a reader chooses: kept on the device, written into the page by the server."""

import pytest
from django.test import Client
from django.urls import reverse

from conftest import World

HOME = "/t/aurora/"


def choose(client: Client, theme: str, **fields: str) -> str:
    """Choose a theme on the workspace; return where it leads."""
    sent = {"theme": theme} | fields
    return client.post(reverse("set_theme"), sent, headers={"Referer": f"http://testserver{HOME}"})[
        "Location"
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_is_kept_and_written_into_each_page(world: World, client: Client, theme: str) -> None:
    client.force_login(world.alice)
    assert choose(client, theme) == f"http://testserver{HOME}"
    for address in (HOME, reverse("account_email"), "/t/nobody/"):
        shown = client.get(address).content.decode()
        assert f'data-theme="{theme}"' in shown
        assert f'content="{theme}"' in shown
    assert client.cookies["theme"]["httponly"]
    assert client.cookies["theme"]["max-age"] > 300 * 24 * 60 * 60


@pytest.mark.parametrize("theme", ["system", "", "<b>", "dark\n"])
def test_anything_else_follows_the_system(world: World, client: Client, theme: str) -> None:
    client.force_login(world.alice)
    choose(client, "dark")
    choose(client, theme)
    shown = client.get(HOME).content.decode()
    assert "data-theme" not in shown
    assert 'content="light dark"' in shown


def test_a_cookie_that_someone_made_up_is_ignored(world: World, client: Client) -> None:
    client.force_login(world.alice)
    client.cookies["theme"] = '"><script>'
    assert "data-theme" not in client.get(HOME).content.decode()


@pytest.mark.parametrize("away", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_no_other_site_is_led_to(client: Client, away: str) -> None:
    assert choose(client, "dark", next=away) == "/"
