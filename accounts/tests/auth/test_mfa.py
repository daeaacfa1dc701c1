"""The second factor: an app's codes and recovery codes."""

import re

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.auth.login_links import login_link
from accounts.models import User
from accounts.tests.auth.factors import SECRET, code_of, with_app
from conftest import World

pytestmark = pytest.mark.both_databases

PASSWORD = "correct horse"


@pytest.fixture
def alice(world: World, client: Client) -> Client:
    """Return alice's browser, in which she has just typed her password."""
    client.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def kinds(user: User) -> set[str]:
    return set(Authenticator.objects.filter(user=user).values_list("type", flat=True))


def page(client: Client, name: str) -> str:
    response = client.get(reverse(name))
    assert response.status_code == 200, response.headers.get("Location")
    return response.content.decode()


def logged_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_setting_up_an_app(world: World, alice: Client) -> None:
    shown = page(alice, "mfa_activate_totp")
    secret = re.findall(r"<code>([A-Z2-7]{32})</code>", shown)[0]
    assert 'src="data:image/svg+xml;base64,' in shown
    response = alice.post(reverse("mfa_activate_totp"), {"code": code_of(secret)}, follow=True)
    assert response.redirect_chain == [(reverse("mfa_view_recovery_codes"), 302)]
    codes = re.findall(r"<code>(\d{8})</code>", response.content.decode())
    assert len(set(codes)) == 10
    assert kinds(world.alice) == {"totp", "recovery_codes"}


def test_a_wrong_code_sets_up_nothing(world: World, alice: Client) -> None:
    page(alice, "mfa_activate_totp")
    assert "Incorrect code" in alice.post(reverse("mfa_activate_totp"), {"code": "000000"}).content.decode()
    assert kinds(world.alice) == set()


def test_changing_factors_asks_who_is_there(world: World, client: Client) -> None:
    client.force_login(world.alice)
    for name in ("mfa_activate_totp", "mfa_add_webauthn", "mfa_generate_recovery_codes"):
        response = client.get(reverse(name))
        assert response.headers["Location"].startswith(reverse("account_reauthenticate")), name


def test_the_password_alone_does_not_log_in_any_more(world: World, client: Client) -> None:
    with_app(world.alice)
    answers = {"login": world.alice.email, "password": PASSWORD, "next": reverse("mfa_index")}
    response = client.post(reverse("account_login"), answers)
    assert response.headers["Location"].startswith(reverse("mfa_authenticate"))
    assert not logged_in(client)
    assert client.get(reverse("home")).status_code == 302
    assert "One more step" in page(client, "mfa_authenticate")
    assert "Incorrect code" in client.post(reverse("mfa_authenticate"), {"code": "000000"}).content.decode()
    done = client.post(reverse("mfa_authenticate"), {"code": code_of(SECRET)})
    assert done.headers["Location"] == reverse("mfa_index")
    assert logged_in(client)


def test_a_code_is_used_once(world: World) -> None:
    with_app(world.alice)
    for expected in (302, 200):
        client = Client()
        client.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
        assert client.post(reverse("mfa_authenticate"), {"code": code_of(SECRET)}).status_code == expected


def test_the_code_that_set_the_app_up_is_used_too(world: World, alice: Client) -> None:
    """An onlooker would have half a minute."""
    secret = re.findall(r"<code>([A-Z2-7]{32})</code>", page(alice, "mfa_activate_totp"))[0]
    code = code_of(secret)
    assert alice.post(reverse("mfa_activate_totp"), {"code": code}).status_code == 302
    other = Client()
    other.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
    assert other.post(reverse("mfa_authenticate"), {"code": code}).status_code == 200
    assert other.post(reverse("mfa_authenticate"), {"code": f"{code[:3]} {code[3:]}"}).status_code == 200
    assert not logged_in(other)


def test_a_code_that_logged_in_confirms_nothing_more(world: World, client: Client) -> None:
    with_app(world.alice)
    client.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
    code = code_of(SECRET)
    assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == 302
    assert client.post(reverse("mfa_reauthenticate"), {"code": code}).status_code == 200


def test_a_recovery_code_logs_in_once(world: World, alice: Client) -> None:
    with_app(world.alice)
    alice.post(reverse("mfa_generate_recovery_codes"))
    code = re.findall(r"<code>(\d{8})</code>", page(alice, "mfa_view_recovery_codes"))[0]
    for expected in (302, 200):
        client = Client()
        client.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
        assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == expected
    assert "9 codes are left" in page(alice, "mfa_index")


def test_going_back_from_the_second_step(world: World, client: Client) -> None:
    with_app(world.alice)
    client.post(reverse("account_login"), {"login": world.alice.email, "password": PASSWORD})
    client.post(reverse("account_logout"), {"next": reverse("account_login")})
    assert client.get(reverse("mfa_authenticate")).headers["Location"] == reverse("account_login")


def test_the_admin_asks_for_it_too(world: World, client: Client) -> None:
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    with_app(root)
    client.post(reverse("admin:login"), {"username": root.email, "password": PASSWORD})
    assert not logged_in(client)
    answers = {"login": root.email, "password": PASSWORD, "next": reverse("admin:index")}
    assert (
        client.post(reverse("account_login"), answers)
        .headers["Location"]
        .startswith(reverse("mfa_authenticate"))
    )
    assert client.get(reverse("admin:index")).status_code == 302


def test_a_link_of_this_machine_needs_none_and_may_turn_it_off(
    world: World, client: Client, settings: Settings
) -> None:
    """After a lost phone, the operator prints a link, and the owner starts over."""
    with_app(world.alice)
    client.get(login_link(world.alice).removeprefix(settings.PUBLIC_URL), follow=True)
    assert logged_in(client)
    client.post(reverse("mfa_deactivate_totp"))
    assert kinds(world.alice) == set()


def test_people_without_a_password_can_have_a_second_factor(
    world: World, client: Client, settings: Settings
) -> None:
    dora = User.objects.create_user("dora@example.org")
    client.get(login_link(dora).removeprefix(settings.PUBLIC_URL), follow=True)
    assert "Set up an app" in page(client, "mfa_activate_totp")


def test_an_unconfirmed_address_is_no_obstacle(world: World, alice: Client) -> None:
    page(alice, "account_email")  # where allauth notes the address as not confirmed
    assert "Set up an app" in page(alice, "mfa_activate_totp")


def test_turning_it_off(world: World, alice: Client) -> None:
    with_app(world.alice)
    alice.post(reverse("mfa_generate_recovery_codes"))
    assert "recovery codes are deleted with it" in page(alice, "mfa_deactivate_totp")
    alice.post(reverse("mfa_deactivate_totp"))
    assert kinds(world.alice) == set()


def test_the_codes_can_be_taken_away_as_a_file(world: World, alice: Client) -> None:
    with_app(world.alice)
    alice.post(reverse("mfa_generate_recovery_codes"))
    response = alice.get(reverse("mfa_download_recovery_codes"))
    assert response.headers["Content-Type"].startswith("text/plain")
    assert len(response.content.decode().split()) == 10


def test_each_sees_their_own_alone(world: World, alice: Client) -> None:
    with_app(world.bob)
    assert "Set up an app" in page(alice, "mfa_index")
    assert alice.get(reverse("mfa_deactivate_totp")).status_code == 404
