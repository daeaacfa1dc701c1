"""E11: a repeated request gets the first response again, and is never another call."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Team, Transfer
from conftest import World, small_png
from jobs.api import requests
from jobs.audit import review, verify
from jobs.intake import submit
from jobs.intake.submit import Upload
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program, program_of
from jobs.tests.api.test_pixian import refusal
from jobs.tests.upstream import Server, Step

pytestmark = pytest.mark.both_databases

AT_ONCE = 50
KEY = {"Idempotency-Key": "order 4711"}


@pytest.fixture
def other(committed_world: World) -> Iterator[Program]:
    """Yield a program of another team."""
    team = Team.objects.get(name="Outsiders")
    with program_of(team, committed_world.charlie) as program:
        yield program


def slowly(step: Step, seconds: float = 0.3) -> Step:
    return replace(step, delay=seconds)


def facts(answer: httpx.Response) -> tuple[Any, ...]:
    """Return all of a response except its framing and its own request's id."""
    others = {"content-length", "transfer-encoding", "x-request-id"}
    headers = sorted((name, value) for name, value in answer.headers.multi_items() if name not in others)
    return answer.status_code, headers, answer.content


def at_once(call: Callable[[], httpx.Response], times: int) -> list[httpx.Response]:
    start = threading.Barrier(times)

    def one(_: int) -> httpx.Response:
        try:
            start.wait(30)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def test_fifty_at_once_are_one_call(
    committed_world: World, program: Program, server: Server, settings: Settings
) -> None:
    settings.WEB_THREADS = 100
    server.otherwise = slowly(wire.answer(wire.picture("red"), charged="0.75"))
    answers = at_once(lambda: program.call(headers=KEY), AT_ONCE)
    assert {answer.status_code for answer in answers} == {200}
    assert len({repr(facts(answer)) for answer in answers}) == 1
    assert (server.calls, Job.objects.count(), Transfer.objects.filter(kind="hold").count()) == (1, 1, 1)
    assert ledger.balances(committed_world.team).spent == 750_000


def test_a_repeat_wakes_when_the_first_call_ends(
    program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before it would look at the database again."""
    monkeypatch.setattr(requests, "LOOK_AGAIN_SECONDS", 60)
    server.otherwise = slowly(wire.answer(), seconds=2)
    started_at = time.monotonic()

    def call() -> httpx.Response:
        try:
            return program.call(headers=KEY)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call)
        while not Job.objects.filter(state="running").exists():
            time.sleep(0.05)
        again = program.call(headers=KEY)
    assert (facts(again), server.calls) == (facts(first.result()), 1)
    assert time.monotonic() - started_at < 30


def test_a_repeat_that_waits_on_another_process_looks_at_the_rows(
    program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_calls", MagicMock(get=lambda _pk: None))
    server.otherwise = slowly(wire.answer(), seconds=1)
    answers = at_once(lambda: program.call(headers=KEY), 2)
    assert len({repr(facts(answer)) for answer in answers}) == 1
    assert server.calls == 1


def test_after_a_success_the_same_bytes_and_headers_come_again(program: Program, server: Server) -> None:
    server.script.append(wire.answer(wire.picture("red"), charged="0.75"))
    first = program.call(headers=KEY)
    again = program.call(headers=KEY)
    assert facts(again) == facts(first)
    assert again.headers["X-Credits-Charged"] == "0.75"
    assert server.calls == 1


def test_after_a_refusal_too(program: Program, server: Server) -> None:
    server.script.append(wire.error(400, 1006, "Not a\tpicture " + "x" * 500))
    first = program.call(headers=KEY)
    assert refusal(first) == (400, 1006)
    assert facts(program.call(headers=KEY)) == facts(first)
    assert server.calls == 1


def test_a_call_in_doubt_isnt_made_again(program: Program, server: Server) -> None:
    server.script.append(wire.no_answer)
    first = program.call(headers=KEY)
    assert refusal(first) == (504, -10)
    assert facts(program.call(headers=KEY)) == facts(first)
    assert server.calls == 1


def in_doubt(program: Program, server: Server) -> Attempt:
    """Return the attempt of a program's call that was never answered."""
    server.script.append(wire.no_answer)
    assert refusal(program.call(headers=KEY)) == (504, -10)
    return Attempt.objects.select_related("job__team", "hold").get()


def test_once_a_person_finds_it_uncharged_the_same_key_is_a_new_call(
    committed_world: World, program: Program, server: Server
) -> None:
    attempt = in_doubt(program, server)
    review.resolve(attempt, 0, committed_world.alice, "asked the vendor")
    answer = program.call(headers=KEY)
    assert (answer.status_code, server.calls) == (200, 2)
    assert facts(program.call(headers=KEY)) == facts(answer)
    assert server.calls == 2
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    assert not verify.run(quick=True).findings


def test_once_a_person_finds_it_charged_the_same_key_gets_a_final_error(
    committed_world: World, program: Program, server: Server
) -> None:
    attempt = in_doubt(program, server)
    review.resolve(attempt, CREDIT, committed_world.alice, "the invoice says so")
    answer = program.call(headers=KEY)
    assert refusal(answer) == (502, 502)
    assert "isn't called for again under this Idempotency-Key" in answer.text
    assert "Retry-After" not in answer.headers
    assert (facts(program.call(headers=KEY)), server.calls) == (facts(answer), 1)
    assert program.call(headers={"Idempotency-Key": "order 4711, again"}).status_code == 200


@pytest.mark.parametrize("charged", [0, CREDIT], ids=["uncharged", "charged"])
def test_retries_beside_the_decision_are_told_the_doubt_or_its_outcome(
    committed_world: World, program: Program, server: Server, settings: Settings, charged: int
) -> None:
    """Whatever each of them sees, there is one new call at most, and none that is charged for nothing."""
    settings.WEB_THREADS = 100
    attempt, start = in_doubt(program, server), threading.Barrier(9)

    def decide() -> None:
        start.wait(30)
        review.resolve(attempt, charged, committed_world.alice, "asked the vendor")
        connection.close()

    def retry(_: int) -> list[httpx.Response]:
        start.wait(30)
        try:
            return [program.call(headers=KEY) for _ in range(3)]
        finally:
            connection.close()

    with ThreadPoolExecutor(9) as pool:
        decision = pool.submit(decide)
        answers = [answer for part in pool.map(retry, range(8)) for answer in part]
        decision.result()
    answers.append(program.call(headers=KEY))
    final = [answer for answer in answers if answer.status_code != 504]
    assert {answer.status_code for answer in final} == {502 if charged else 200}
    assert len({repr(facts(answer)) for answer in final}) == 1
    assert server.calls == (1 if charged else 2)
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_control_a_request_that_isnt_forgotten_fails_for_a_day(
    committed_world: World, program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "forget_request", lambda _job: None)
    review.resolve(in_doubt(program, server), 0, committed_world.alice, "asked the vendor")
    assert refusal(program.call(headers=KEY))[0] == 503
    assert server.calls == 1


def test_an_error_that_was_charged_isnt_asked_for_again(program: Program, server: Server) -> None:
    server.script.append(wire.error(500, X_Credits_Charged="0.5", Retry_After="3"))
    first = program.call(headers=KEY)
    assert facts(program.call(headers=KEY)) == facts(first)
    assert server.calls == 1


@pytest.mark.parametrize(
    "failure",
    [wire.error(500), wire.error(429, 1015, "Slow down", Retry_After="9"), wire.error(402, 1011, "Empty")],
    ids=["500", "429", "402"],
)
def test_what_wasnt_processed_may_be_asked_for_again(program: Program, server: Server, failure: Step) -> None:
    server.script.append(failure)
    assert program.call(headers=KEY).status_code in (500, 429, 503)
    assert program.call(headers=KEY).status_code == 200
    assert (server.calls, Job.objects.count()) == (2, 2)


def test_a_request_that_was_never_accepted_leaves_the_key_free(program: Program, server: Server) -> None:
    assert program.call(b"no picture", headers=KEY).status_code == 400
    assert program.call(headers=KEY).status_code == 200


@pytest.mark.parametrize(
    ("picture", "fields"),
    [(small_png(10, 10), {}), (None, {"output.format": "jpeg"}), (None, {"test": "true"})],
    ids=["picture", "options", "test"],
)
def test_another_body_under_the_same_key_is_refused(
    program: Program, server: Server, picture: bytes | None, fields: dict[str, str]
) -> None:
    program.call(headers=KEY)
    assert refusal(program.call(picture, fields=fields, headers=KEY)) == (409, 409)
    assert (server.calls, Job.objects.count()) == (1, 1)


def test_another_team_has_keys_of_its_own(program: Program, other: Program, server: Server) -> None:
    server.script.extend([wire.answer(wire.picture("red")), wire.answer(wire.picture("blue"))])
    assert program.call(headers=KEY).content == wire.picture("red")
    assert other.call(headers=KEY).content == wire.picture("blue")


def test_without_the_teams_scope_another_team_is_given_this_ones_picture(
    program: Program, other: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""

    def find_anywhere(_: Job, upload: Upload) -> Job | None:
        return Job.objects.filter(request_id=upload.request_id).first()

    monkeypatch.setattr(submit, "_find_first", find_anywhere)
    server.script.extend([wire.answer(wire.picture("red")), wire.answer(wire.picture("blue"))])
    program.call(headers=KEY)
    assert other.call(headers=KEY).content == wire.picture("red")


def test_after_a_day_the_key_is_free(program: Program, server: Server) -> None:
    program.call(headers=KEY)
    Job.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    program.call(headers=KEY)
    assert server.calls == 1
    Job.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    program.call(small_png(10, 10), headers=KEY)
    assert (server.calls, Job.objects.count()) == (2, 2)


@pytest.mark.parametrize("key", ["x" * 256, "a\tb"])
def test_a_key_is_short_and_printable(program: Program, key: str) -> None:
    answer = program.call(headers={"Idempotency-Key": key.encode()})
    assert refusal(answer) == (400, 1019)


def test_without_a_key_each_call_is_its_own(program: Program, server: Server, committed_world: World) -> None:
    program.call()
    program.call()
    assert server.calls == 2
    assert ledger.balances(committed_world.team).spent == 2 * CREDIT
