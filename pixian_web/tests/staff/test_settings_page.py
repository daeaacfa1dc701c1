"""Staff see each setting as it is in force and where it comes from, and no secret."""

import re
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from conftest import World
from engine.environment import Environment, Source
from pixian_web.env import SiteEnvironment
from pixian_web.staff import settings_page
from pixian_web.staff.meanings import MEANINGS

ROOT = Path(__file__).resolve().parents[3]
SECRETS = {
    "SECRET_KEY": "hush-signs",
    "PIXIAN_API_SECRET": "hush-upstream",
    "ENGINE_API_SECRET": "hush-engine",
    "DATABASE_URL": "postgres://user:hush-data@host/name?sslpassword=hush-query",
    "EMAIL_URL": "smtp+tls://me%40example.org:hush-mail@host:587",
    "CELERY_BROKER_URL": "redis://:hush-broker@host:6379/0",
    "PIXIAN_API_URL": "https://user:hush-address@host",
    "PIXIAN_API_ID": "px-hush-id",
}


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root@example.org"))
    return client


@pytest.fixture
def with_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let settings be read that hold secrets, as if they were in force."""
    monkeypatch.setattr(Environment, "readings", dict(Environment.readings))
    for name, text in SECRETS.items():
        monkeypatch.setenv(name, text)
    env = SiteEnvironment()
    for name in ("SECRET_KEY", "PIXIAN_API_SECRET", "ENGINE_API_SECRET"):
        env.secret(name)
    env.identifier("PIXIAN_API_ID")
    env.database("DATABASE_URL", "")
    env.email("EMAIL_URL", "consolemail://")
    env.url("CELERY_BROKER_URL", "", "redis")
    env.url("PIXIAN_API_URL", "embedded", "https")


def test_every_setting_of_the_readme_is_there_with_its_meaning(staff: Client) -> None:
    page = staff.get("/staff/settings/").content.decode()
    documented = re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE)
    meanings = {name for group in MEANINGS.values() for name in group}
    assert documented
    assert [name for name in documented if f"<code>{name}</code>" not in page] == []
    assert set(Environment.readings) == meanings


def test_no_secret_is_on_the_page(staff: Client, with_secrets: None) -> None:
    page = staff.get("/staff/settings/").content.decode()
    assert "hush" not in page
    for shown in (
        "postgres://user:••••••••@host/name?••••••••",
        "redis://:••••••••@host:6379/0",
        "px-h••••••••",
    ):
        assert shown in page


def test_a_secret_that_were_shown_would_be_found(
    staff: Client, with_secrets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(settings_page, "shown", lambda reading: reading.text)
    page = staff.get("/staff/settings/").content.decode()
    assert [
        text for text in ("signs", "upstream", "engine", "data", "mail") if f"hush-{text}" not in page
    ] == []


def test_a_password_with_a_slash_hides_the_whole_address(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Environment, "readings", {})
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://me:1/hush@host/0")
    SiteEnvironment().url("CELERY_BROKER_URL", "", "redis")
    page = staff.get("/staff/settings/").content.decode()
    assert "hush" not in page
    assert "redis://••••••••" in page


def test_each_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A runner may have read the file and passed it on; then the file is still where it comes from."""
    monkeypatch.setattr(Environment, "readings", {})
    monkeypatch.setattr(Environment, "_file", {})
    (tmp_path / ".env").write_text("PORT=8123\nWEB_THREADS=9\n")
    monkeypatch.setenv("PORT", "8123")
    monkeypatch.setenv("WEB_THREADS", "7")
    monkeypatch.delenv("TIME_ZONE", raising=False)
    Environment.read_file(tmp_path / ".env")
    env = SiteEnvironment()
    assert (env.integer("PORT", 1), env.integer("WEB_THREADS", 1), env.time_zone("TIME_ZONE", "UTC")) == (
        *(8123, 7),
        "UTC",
    )
    assert {name: reading.source for name, reading in env.readings.items()} == {
        "PORT": Source.FILE,
        "WEB_THREADS": Source.ENVIRONMENT,
        "TIME_ZONE": Source.DEFAULT,
    }


def test_nobody_else_sees_it(client: Client, world: World) -> None:
    for address in ("", "settings/", "teams/", "people/", "upstream/"):
        client.logout()
        assert client.get(f"/staff/{address}").status_code == 302
        client.force_login(world.alice)
        assert client.get(f"/staff/{address}").status_code == 404
