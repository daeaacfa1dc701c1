"""Each API call writes one log line, without a secret."""

import logging
import re

import pytest
from django.db import IntegrityError, OperationalError

from conftest import World
from jobs.api import auth
from jobs.models import Job
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.upstream import Server

DATED = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ")


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jobs")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """As an operator reads them."""
    (console,) = [handler for handler in logging.getLogger().handlers if handler.name == "console"]
    return [console.format(record) for record in caplog.records if "jobs.api.call_log" in record.name]


def only(caplog: pytest.LogCaptureFixture) -> str:
    (line,) = lines(caplog)
    assert DATED.match(line)
    return line


def test_a_call_tells_whose_it_was_and_what_it_cost(
    program: Program, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.script.append(wire.answer(charged="0.75"))
    assert program.call().status_code == 200
    line = only(caplog)
    for told in ("call=api_remove_background", "status=200", "team=aurora", "charged=0.75"):
        assert told in line
    assert f"key={program.key.api_id[:6]}" in line
    assert f"job={Job.objects.get().pk}" in line
    assert re.search(r"seconds=\d", line)


def test_reading_calls_are_told_too(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    program.account()
    program.http.get("/v1.0/account", headers={"X-Api-Key": "wrong"})
    program.http.get("/api/jobs")
    assert [re.search(r"call=(\S+)", line)[1] for line in lines(caplog)] == [  # type: ignore[index]
        "api_account",
        "drop_in_account",
        "api_jobs",
    ]


def test_a_call_that_is_refused_is_told(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    assert program.http.get("/api/v2/account", auth=None).status_code == 401
    line = only(caplog)
    assert "status=401" in line
    assert "team=None" in line


def test_no_secret_is_told(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever a program may put it, the address included."""
    secret = program.credentials.api_secret
    program.call()
    program.account()
    program.http.get("/v1.0/account", params={"key": secret}, headers={"X-Api-Key": secret})
    program.http.get(f"/v1.0/{secret}")
    assert len(lines(caplog)) == 4
    assert secret not in "\n".join(lines(caplog))
    assert program.key.api_id not in "\n".join(lines(caplog))


@pytest.mark.parametrize(
    ("error", "status", "traceback"),
    [
        (OperationalError("couldn't get a connection"), 503, False),
        (IntegrityError("CHECK constraint failed"), 500, True),
    ],
)
def test_a_database_that_is_away_is_told_from_a_fault_of_ours(
    committed_world: World,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    traceback: bool,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(auth, "rate_limits_of", fail)
    answer = program.account()
    assert answer.status_code == status
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert ("Traceback" in caplog.text) == traceback
