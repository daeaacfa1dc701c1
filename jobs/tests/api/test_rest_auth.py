"""Our own JSON API asks for a key with the scope, limits its rate, and refuses in the envelope."""

import time

import httpx
import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.models import RateLimit, Scope
from conftest import World
from jobs.api import auth
from jobs.search import filters
from jobs.tests.api.programs import Program, program_of, program_with
from jobs.tests.api.test_pixian import refusal

pytestmark = pytest.mark.both_databases

SCOPES = {
    "/api/jobs": Scope.JOBS,
    "/api/jobs/1": Scope.JOBS,
    "/api/jobs/1/result": Scope.JOBS,
    "/api/jobs/1/source": Scope.JOBS,
    "/api/ledger": Scope.LEDGER,
    "/api/usage": Scope.LEDGER,
    "/api/balance": Scope.BALANCE,
}
every_address = pytest.mark.parametrize("address", SCOPES)


@every_address
def test_without_the_scope_nothing_is_told(committed_world: World, address: str) -> None:
    others = tuple(scope for scope in Scope if scope != SCOPES[address])
    with program_of(committed_world.team, committed_world.bob, others) as program:
        assert refusal(program.http.get(address)) == (403, 403)
    with program_of(committed_world.team, committed_world.bob, (SCOPES[address],)) as program:
        assert program.http.get(address).status_code in (200, 404)


@every_address
def test_without_a_key_nothing_is_told(committed_world: World, address: str) -> None:
    answer = program_with(None).get(address)
    assert refusal(answer) == (401, 1001)
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


@every_address
def test_a_session_is_no_key(committed_world: World, client: Client, address: str) -> None:
    client.force_login(committed_world.alice)
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    answer = program_with(None, cookies).get(address)
    assert refusal(answer) == (401, 1001)
    assert "Set-Cookie" not in answer.headers


def test_a_revoked_key_opens_nothing_from_then_on(reader: Program) -> None:
    assert reader.http.get("/api/jobs").status_code == 200
    keys.revoke(reader.key, reader.key.owner)
    assert refusal(reader.http.get("/api/jobs")) == (401, 1002)


def test_a_viewers_key_reads(committed_world: World) -> None:
    with program_of(committed_world.team, committed_world.vera) as program:
        for address in ("/api/jobs", "/api/ledger", "/api/usage", "/api/balance"):
            assert program.http.get(address).status_code == 200


def test_each_call_is_counted(reader: Program, settings: Settings) -> None:
    settings.API_CALLS_PER_KEY = 3
    addresses = ("/api/jobs", "/api/balance", "/api/jobs/1")
    assert [reader.http.get(address).status_code for address in addresses] == [200, 200, 404]
    answer = reader.http.get("/api/usage")
    assert refusal(answer) == (429, 1015)
    assert 15 <= int(answer.headers["Retry-After"]) <= 20


def test_a_call_that_the_teams_bound_refuses_counts_nothing(reader: Program, settings: Settings) -> None:
    settings.API_CALLS_PER_TEAM = 1
    assert reader.http.get("/api/jobs").status_code == 200
    counted = paid_off()
    assert refusal(reader.http.get("/api/jobs")) == (429, 1015)
    now = time.time_ns() // 1000
    assert counted.keys() == paid_off().keys()
    # A limit whose calls were paid off meanwhile may be moved up to now, which takes nothing from it.
    assert all(at <= max(counted[subject], now) for subject, at in paid_off().items())


def paid_off() -> dict[str, int]:
    return dict(RateLimit.objects.values_list("subject", "paid_off_at"))


def test_calls_of_both_apis_share_the_bound(program: Program, settings: Settings) -> None:
    settings.API_CALLS_PER_KEY = 2
    assert program.http.get("/api/jobs").status_code == 200
    assert program.call().status_code == 200
    assert refusal(program.http.get("/api/jobs")) == (429, 1015)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("/api/jobs?limit=0", "limit"),
        ("/api/jobs?limit=101", "limit"),
        ("/api/jobs?limit=ten", "limit"),
        ("/api/jobs?before=0", "before"),
        ("/api/jobs?before=99999999999999999999", "before"),
        ("/api/jobs?state=ready", "state"),
        ("/api/jobs?origin=fax", "origin"),
        ("/api/jobs?since=yesterday", "since"),
        ("/api/jobs?since=2026-02-30", "since"),
        ("/api/jobs?name=%00", "name"),
        ("/api/ledger?limit=1000", "limit"),
        ("/api/usage?by=moon", "by"),
        ("/api/usage?until=2026-1-1", "until"),
    ],
)
def test_a_bad_parameter_is_named(reader: Program, address: str, named: str) -> None:
    answer = reader.http.get(address)
    assert refusal(answer) == (400, 1019)
    assert answer.json()["error"]["message"].startswith((f"{named}:", f"{named} is"))


def test_days_before_all_jobs_have_none(reader: Program) -> None:
    answer = reader.http.get("/api/usage?until=0001-01-05")
    assert (answer.status_code, answer.json()["parts"]) == (200, [])


def test_an_id_that_no_job_can_have(reader: Program) -> None:
    assert refusal(reader.http.get("/api/jobs/99999999999999999999"))[0] in (400, 404)


@pytest.mark.parametrize("address", ["/api/nope", "/api", "/api/", "/api/jobs/1/", "/api/jobs/1/delete"])
def test_other_addresses_are_missing(reader: Program, address: str) -> None:
    assert refusal(reader.http.get(address)) == (404, 404)


@every_address
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_only_reads(reader: Program, address: str, method: str) -> None:
    answer = reader.http.request(method, address)
    assert refusal(answer) == (405, 405)
    assert answer.headers["Allow"] == "GET, OPTIONS"


def test_a_database_that_is_away_is_told(reader: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(filters, "page", away)
    answer = reader.http.get("/api/jobs")
    assert refusal(answer) == (503, -3)
    assert int(answer.headers["Retry-After"]) > 0
    assert "closed the connection" not in answer.text


def test_what_breaks_here_is_told_without_its_insides(
    reader: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "rate_limits_of", lambda _key: 1 / 0)
    answer = reader.http.get("/api/jobs")
    assert refusal(answer) == (500, 500)
    assert "division" not in answer.text


def test_pages_of_other_origins_may_read_every_answer(reader: Program) -> None:
    answers: list[httpx.Response] = [
        reader.http.get("/api/jobs"),
        reader.http.get("/api/jobs/1"),
        reader.http.get("/api/jobs?limit=0"),
        reader.http.post("/api/jobs"),
        program_with(None).get("/api/balance"),
        reader.http.get("/api/nope"),
    ]
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {"*"}


@every_address
def test_a_browser_may_ask_first(committed_world: World, address: str) -> None:
    asks = {"Origin": "https://shop.example.org", "Access-Control-Request-Method": "GET"}
    answer = program_with(None).options(address, headers=asks)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
