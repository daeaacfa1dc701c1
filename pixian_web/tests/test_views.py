"""Pages of the site as a whole."""

import pytest
from django.test import Client

from conftest import World


def test_healthz_answers_anybody(client: Client, db: None) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "elsewhere.example.org", "not a host", ""])
def test_a_probe_may_use_any_host_name_and_no_other_request_may(client: Client, db: None, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert client.get("/readyz", headers={"Host": host}).status_code != 400
    for address in ("/health/", "/accounts/login/", "/healthz/", "/api/v2/account"):
        assert client.get(address, headers={"Host": host or "10.1.2.3"}).status_code == 400, address


def test_home_leads_to_the_users_team(client: Client, world: World) -> None:
    client.force_login(world.bob)
    assert client.get("/").headers["Location"] == "/t/aurora/"


def test_home_of_a_user_without_a_team_says_so(client: Client, world: World) -> None:
    world.bob.memberships.all().delete()
    client.force_login(world.bob)
    assert "t in a team yet" in client.get("/").content.decode()


def test_a_stranger_is_sent_to_the_log_in(client: Client, db: None) -> None:
    assert client.get("/").headers["Location"] == "/accounts/login/?next=/"


@pytest.mark.parametrize("address", ["/nothing", "/t/nowhere/", "/t/aurora/jobs/77/"])
def test_what_is_not_there_is_a_page_that_says_so(client: Client, world: World, address: str) -> None:
    client.force_login(world.alice)
    response = client.get(address)
    assert response.status_code == 404
    assert "credits are unchanged" in response.content.decode()


def test_a_strict_policy_covers_every_page(client: Client, db: None) -> None:
    policy = client.get("/accounts/login/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
