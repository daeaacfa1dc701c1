"""Log-ins in the database: they work as Django's own do, and a dump lets nobody take one over."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.auth.encryption import DecryptionError, decrypt, encrypt
from accounts.auth.login_links import login_link
from accounts.auth.sessions import SessionStore
from accounts.tests.auth.factors import SECRET, code_of, with_app
from conftest import World

pytestmark = pytest.mark.both_databases

PASSWORD = "correct horse"


def log_in(client: Client, email: str = "alice@example.org") -> None:
    client.post(reverse("account_login"), {"login": email, "password": PASSWORD})


def is_in(client: Client) -> bool:
    """Return True if the pages see the user as signed in."""
    return client.get(reverse("home")).headers["Location"].startswith("/t/")


def key_of(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def with_key(key: str) -> Client:
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = key
    return client


def kept(store: db.SessionStore, **data: Any) -> str:
    """Return the key of a stored session with this data."""
    store.update(data)
    store.save()
    assert store.session_key
    return store.session_key


def test_logging_in_and_out(world: World, client: Client) -> None:
    log_in(client)
    key = key_of(client)
    assert is_in(client)
    client.post(reverse("account_logout"))
    assert not is_in(client)
    assert not is_in(with_key(key))


def test_logging_out_ends_this_log_in_alone(world: World, client: Client) -> None:
    other = Client()
    log_in(client)
    log_in(other)
    client.post(reverse("account_logout"))
    assert is_in(other)


def test_the_key_changes_at_the_log_in(world: World, client: Client) -> None:
    """So a session planted in a browser is not signed in along with its user."""
    planted = kept(SessionStore(), language="fr")
    client.cookies[settings.SESSION_COOKIE_NAME] = planted
    log_in(client)
    assert key_of(client) != planted
    assert is_in(client)
    assert not is_in(with_key(planted))


def test_a_made_up_session_key_is_not_adopted(world: World) -> None:
    made_up = "a" * 32
    client = with_key(made_up)
    log_in(client)
    assert key_of(client) != made_up
    assert is_in(client)
    assert not is_in(with_key(made_up))


@pytest.mark.parametrize("key", ["", "short", "é" * 32, "\x00" * 32, "x" * 4000])
def test_any_cookie_is_answered(world: World, key: str) -> None:
    assert not is_in(with_key(key))


def test_what_the_database_keeps_is_no_key(world: World, client: Client) -> None:
    log_in(client)
    row = Session.objects.get()
    assert row.session_key != key_of(client)
    assert not is_in(with_key(row.session_key))


def test_djangos_own_store_would_keep_the_key(world: World) -> None:
    """The control: why this one is ours."""
    key = kept(db.SessionStore(), colour="blue")
    assert Session.objects.get().session_key == key


def test_its_data_comes_back_and_is_sealed(world: World) -> None:
    key = kept(SessionStore(), colour="blue")
    assert SessionStore(key)["colour"] == "blue"
    assert "colour" not in str(db.SessionStore().decode(Session.objects.get().session_data))


def test_data_under_another_secret_key_is_an_empty_session(world: World, settings: Any) -> None:
    key = kept(SessionStore(), colour="blue")
    settings.SECRET_KEY = "another one"
    assert dict(SessionStore(key).items()) == {}


def test_a_cycled_key_keeps_the_data_and_ends_the_old_one(world: World) -> None:
    key = kept(SessionStore(), colour="blue")
    store = SessionStore(key)
    store.cycle_key()
    store.save()
    assert store.session_key
    assert SessionStore(store.session_key)["colour"] == "blue"
    assert SessionStore(key).load() == {}
    assert not SessionStore().exists(key)
    assert SessionStore().exists(store.session_key)


def test_an_expired_session_is_none_and_is_cleared_away(world: World, client: Client) -> None:
    log_in(client)
    lasting = kept(SessionStore(), colour="blue")
    Session.objects.exclude(session_key=SessionStore(lasting).create_model_instance({}).session_key).update(
        expire_date=timezone.now() - timedelta(seconds=1)
    )
    assert not is_in(client)
    call_command("clearsessions")
    assert Session.objects.count() == 1
    assert SessionStore(lasting)["colour"] == "blue"


def test_a_deleted_session_isnt_made_again_by_a_request_that_still_runs(world: World) -> None:
    key = kept(SessionStore(), colour="blue")
    running = SessionStore(key)
    running["colour"] = "red"
    SessionStore(key).delete()
    with pytest.raises(UpdateError):
        running.save()
    assert not Session.objects.exists()


def test_a_session_that_cannot_be_saved_while_the_database_is_away_is_asked_for_again(
    world: World, client: Client
) -> None:
    """SQLite's lock is kept for too long, or PostgreSQL goes down, between a page's reading and its end."""

    def refuse(execute: Any, sql: str, *of_query: Any) -> Any:
        if sql.startswith("UPDATE") and Session._meta.db_table in sql:
            raise OperationalError("database is locked")
        return execute(sql, *of_query)

    client.force_login(world.alice)
    client.raise_request_exception = False
    page = reverse("workspace", args=[world.team.slug])
    with connection.execute_wrapper(refuse):
        response = client.get(page)
    assert (response.status_code, response["Retry-After"]) == (503, "10")
    assert client.get(page).status_code == 200


def test_the_asynchronous_ways_hash_too(committed_world: World) -> None:
    async def made() -> str:
        store = SessionStore()
        await store.aset("colour", "blue")
        await store.asave()
        await store.acycle_key()
        await store.asave()
        return store.session_key or ""

    key = async_to_sync(made)()
    assert Session.objects.get().session_key != key
    assert SessionStore(key)["colour"] == "blue"
    async_to_sync(SessionStore(key).adelete)()
    assert not Session.objects.exists()


def test_a_seal_breaks_when_it_is_touched() -> None:
    sealed = encrypt("été")
    assert decrypt(sealed) == "été"
    for broken in ("", "été", sealed[:-8] + "AAAAAAA="):
        with pytest.raises(DecryptionError):
            decrypt(broken)


def test_an_apps_secret_is_sealed_and_its_codes_still_fit(world: World, client: Client) -> None:
    kept_app = with_app(world.alice)
    assert SECRET not in str(Authenticator.objects.get(pk=kept_app.pk).data)
    log_in(client)
    assert client.post(reverse("mfa_authenticate"), {"code": code_of(SECRET)}).status_code == 302
    assert is_in(client)


def test_after_a_lost_secret_key_no_code_fits_and_a_link_is_the_way_back(
    world: World, client: Client, settings: Any
) -> None:
    with_app(world.alice)
    client.force_login(world.alice)
    settings.SECRET_KEY = "another one"
    stranger = Client()
    log_in(stranger)
    assert stranger.post(reverse("mfa_authenticate"), {"code": code_of(SECRET)}).status_code == 200
    owner = Client()
    owner.get(login_link(world.alice).removeprefix(settings.PUBLIC_URL), follow=True)
    assert owner.get(reverse("mfa_index")).status_code == 200
    owner.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.exists()
