"""API keys: what each may do, and how often it may call."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts import rate_limits
from accounts.api_keys import keys
from accounts.ledger import operations as ledger
from accounts.models import ApiKey, RateLimit, Role, Scope
from conftest import World
from jobs.models import Job
from jobs.tests.api.programs import REMOVE, Program, program_of
from jobs.tests.api.test_pixian import refusal
from jobs.tests.upstream import Server
from pixian.protocol.credentials import Credentials

pytestmark = pytest.mark.both_databases


def revoke(key: ApiKey) -> None:
    assert keys.revoke(key, key.owner)


def expire(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())


def lock_out(key: ApiKey) -> None:
    key.owner.is_active = False
    key.owner.save()


@pytest.mark.parametrize("end", [revoke, expire, lock_out])
def test_a_key_that_has_ended_opens_nothing_from_then_on(
    program: Program, end: Callable[[ApiKey], None]
) -> None:
    assert program.account().status_code == 200
    end(program.key)
    for answer in (program.account(), program.call()):
        assert refusal(answer) == (401, 1002)
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert not Job.objects.exists()


def test_whoever_doesnt_know_the_secret_isnt_told_that_a_key_has_ended(program: Program) -> None:
    revoke(program.key)
    wrong = program.http.get("/api/v2/account", auth=(program.credentials.api_id, "x"))
    assert refusal(wrong) == (401, 1004)


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic !!!", "Bearer abc", "Basic " + "A" * 10_000, "Basic //8="]
)
def test_what_isnt_a_key_is_refused(program: Program, authorization: str) -> None:
    answer = httpx.Client(transport=program.http._transport, base_url="http://localhost").get(
        "/api/v2/account", headers={"Authorization": authorization}
    )
    assert refusal(answer) == (401, 1001)


def test_a_key_does_what_its_scopes_say(committed_world: World, program: Program) -> None:
    team, bob = committed_world.team, committed_world.bob
    with program_of(team, bob, (Scope.BALANCE,)) as reader:
        assert reader.account().status_code == 200
        assert refusal(reader.call()) == (403, 403)
    with program_of(team, bob, (Scope.CUTOUTS,)) as spender:
        assert refusal(spender.account()) == (403, 403)
        assert spender.call().status_code == 200


def test_whoever_may_not_spend_any_more_has_no_spending_key(committed_world: World, program: Program) -> None:
    committed_world.team.memberships.filter(user=committed_world.bob).update(role=Role.VIEWER)
    assert refusal(program.call()) == (403, 403)
    assert program.account().status_code == 200
    committed_world.team.memberships.filter(user=committed_world.bob).delete()
    assert refusal(program.account()) == (401, 1002)


def test_a_session_is_no_key(committed_world: World, program: Program) -> None:
    """A page of another site can make a browser call, and it must act for nobody."""
    http = httpx.Client(transport=program.http._transport, base_url="http://localhost")
    assert refusal(http.post("/api/v2/remove-background", headers={"Cookie": "session-8000=x"})) == (
        401,
        1001,
    )


def test_the_last_use_is_remembered_to_the_minute(program: Program) -> None:
    program.account()
    program.key.refresh_from_db()
    first = program.key.last_used_at
    assert first
    program.account()
    program.key.refresh_from_db()
    assert program.key.last_used_at == first


def test_a_key_calls_so_often_a_minute(program: Program, settings: Settings, server: Server) -> None:
    settings.API_CALLS_PER_KEY = 3
    assert [program.call().status_code for _ in range(3)] == [200, 200, 200]
    books = ledger.balances(program.key.team)
    answer = program.call()
    assert refusal(answer) == (429, 1015)
    assert 15 <= int(answer.headers["Retry-After"]) <= 20
    assert (server.calls, Job.objects.count()) == (3, 3)
    assert ledger.balances(program.key.team) == books


def test_all_keys_of_a_team_share_its_bound(
    committed_world: World, program: Program, settings: Settings
) -> None:
    settings.API_CALLS_PER_TEAM = 2
    assert [program.call().status_code for _ in range(2)] == [200, 200]
    with program_of(committed_world.team, committed_world.alice) as other:
        assert refusal(other.call()) == (429, 1015)


def refused_picture(program: Program) -> httpx.Response:
    return program.call(b"no picture")


def refused_option(program: Program) -> httpx.Response:
    return program.call(fields={"output.format": "gif"})


def refused_form(program: Program) -> httpx.Response:
    return program.http.post(REMOVE, content=b"x", headers={"Content-Type": "multipart/form-data"})


def refused_address(program: Program) -> httpx.Response:
    return program.http.post(REMOVE, data={"image.url": "http://127.0.0.1:1/x.png"})


def refused_by_the_drop_in(program: Program) -> httpx.Response:
    return program.http.post("/v1.0/removebg", data={"size": "auto"})


def pixians_account(program: Program) -> httpx.Response:
    return program.account()


def removebgs_account(program: Program) -> httpx.Response:
    return program.http.get("/v1.0/account")


@pytest.mark.parametrize(
    "ask",
    [
        refused_picture,
        refused_option,
        refused_form,
        refused_address,
        refused_by_the_drop_in,
        pixians_account,
        removebgs_account,
    ],
)
def test_a_call_counts_whatever_comes_of_it(
    program: Program, settings: Settings, ask: Callable[[Program], httpx.Response]
) -> None:
    settings.API_CALLS_PER_KEY = 2
    assert {ask(program).status_code for _ in range(2)} <= {200, 400}
    assert ask(program).status_code == 429
    assert refusal(program.call()) == (429, 1015)
    assert not Job.objects.exists()


def test_a_call_that_makes_a_job_counts_once(program: Program, settings: Settings) -> None:
    settings.API_CALLS_PER_KEY = 2
    assert [program.call().status_code for _ in range(3)] == [200, 200, 429]
    assert [program.call(b"no picture").status_code for _ in range(2)] == [429, 429]


LONGEST = "2001:db8:1111:2222:3333:4444:5555:{}"


@pytest.mark.parametrize("address", ["/api/v2/account", "/v1.0/account", "/api/jobs"])
def test_guessing_from_ipv6_is_slowed_too(
    program: Program, settings: Settings, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    settings.API_GUESSES_PER_ADDRESS = 5
    now = rate_limits._now()
    monkeypatch.setattr(rate_limits, "_now", lambda: now)
    refused = []
    for number in range(7):
        from_there = httpx.WSGITransport(get_wsgi_application(), remote_addr=LONGEST.format(6000 + number))
        with httpx.Client(base_url="http://localhost", transport=from_there, auth=("px", "x")) as guesser:
            refused.append(guesser.get(address).status_code)
    wrong = 403 if address.startswith("/v1.0") else 401
    assert refused == [wrong] * 5 + [429] * 2
    assert program.account().status_code == 200


def test_guessing_is_slowed_and_a_right_key_let_in(program: Program, settings: Settings) -> None:
    """From the same address: the owner may sit in the same office."""
    settings.API_GUESSES_PER_ADDRESS = 5
    wrong = (program.credentials.api_id, "x" * 52)
    answers = [program.http.get("/api/v2/account", auth=wrong) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert program.account().status_code == 200


def test_the_bound_holds_however_many_ask_at_once(program: Program) -> None:
    """On the database alone, so over several processes too."""
    bound = rate_limits.Bound("key:1", 10)

    def ask(_: int) -> bool:
        try:
            rate_limits.take(bound)
        except rate_limits.TooFastError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(40))) == 10
    assert RateLimit.objects.count() == 1


def test_no_secret_is_kept(program: Program) -> None:
    key = ApiKey.objects.get()
    assert program.credentials.api_secret not in repr(vars(key))
    assert Credentials(key.api_id, key.secret_sha256).authorization != program.credentials.authorization
