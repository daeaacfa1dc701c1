"""A program's call and the crashes around it: programs that hang up or stop half-way, and what a worker makes
of a call that its web process left behind."""

import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.calls import responses
from jobs.intake import submit
from jobs.models import Attempt, Job
from jobs.queue import claims, concurrency
from jobs.queue.claims import CallLimitError
from jobs.storage import files
from jobs.tests import upstream as wire
from jobs.tests.api.programs import REMOVE, Program, begun
from jobs.tests.api.test_pixian import refusal, the_job
from jobs.tests.upstream import Server, run
from pixian.protocol.errors import ApiError

pytestmark = pytest.mark.both_databases

State, Reason = Job.State, Job.Reason
UNTOUCHED = Balances(available=100 * CREDIT)


def later(seconds: float, do: Callable[[], object]) -> threading.Timer:
    """In a thread of its own, which leaves no connection behind."""

    def act() -> None:
        do()
        connection.close()

    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def eventually(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


# A program that goes away ---------------------------------------------------------------------------


def request_of(program: Program, live: LiveServer, body: bytes, length: int | None = None) -> bytes:
    head = (
        f"POST {REMOVE} HTTP/1.1\r\nHost: {urlsplit(live.url).netloc}\r\n"
        f"Authorization: {program.credentials.authorization}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


def form(picture: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    return head + picture + b"\r\n--b--\r\n"


def connected(live: LiveServer) -> socket.socket:
    host = urlsplit(live.url)
    return socket.create_connection((host.hostname or "", host.port or 0), 10)


def test_a_program_that_hangs_up_changes_nothing(
    committed_world: World, program: Program, server: Server, live_server: LiveServer
) -> None:
    """While the upstream works. The charge is booked, and the result is kept in the history."""
    asked, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        assert go_on.wait(20)

    server.script.append(wire.after(wait, wire.answer(wire.picture("red"))))
    with connected(live_server) as line:
        line.sendall(request_of(program, live_server, form(small_png())))
        assert asked.wait(20)
    go_on.set()
    eventually(lambda: the_job().state == State.DONE)
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    with the_job().result.open() as result:
        assert result.read() == wire.picture("red")


def test_a_program_that_stops_reading_holds_up_nothing(
    committed_world: World, program: Program, server: Server, live_server: LiveServer
) -> None:
    noise = small_png(10, 10) + bytes(20_000_000) + files.PNG_END  # more than any socket buffers
    server.script.append(wire.answer(noise))
    with connected(live_server) as line:
        line.sendall(request_of(program, live_server, form(small_png())))
        assert line.recv(12) == b"HTTP/1.1 200"
        eventually(lambda: the_job().state == State.DONE)
        assert ledger.balances(committed_world.team).spent == CREDIT


def test_a_body_that_stops_half_way_leaves_nothing(
    committed_world: World, program: Program, server: Server, live_server: LiveServer, settings: Settings
) -> None:
    body = form(small_png())
    with connected(live_server) as line:
        line.sendall(request_of(program, live_server, body[: len(body) // 2], len(body)))
        line.shutdown(socket.SHUT_WR)
        assert line.recv(12) == b"HTTP/1.1 400"
    assert not Job.objects.exists()
    assert (server.calls, ledger.balances(committed_world.team)) == (0, UNTOUCHED)
    assert not list(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir())


# A web process that dies ----------------------------------------------------------------------------


def test_before_it_was_sent_nothing_happened(
    committed_world: World, program: Program, server: Server
) -> None:
    begun(program.key)
    job, _ = run(server)
    assert (job.state, job.reason, server.calls) == (State.FAILED, Reason.INTERRUPTED, 0)
    assert ledger.balances(committed_world.team) == UNTOUCHED


def left_behind(job: Job, state: str, **facts: Any) -> None:
    now = timezone.now()
    Attempt.objects.filter(job=job).update(state=state, sent_at=now, sends=1, **facts)


def test_a_call_that_was_sent_is_in_doubt(committed_world: World, program: Program, server: Server) -> None:
    left_behind(begun(program.key), "sent")
    job, _ = run(server)
    assert (job.state, job.reason, server.calls) == (State.IN_DOUBT, Reason.UNANSWERED, 0)
    assert ledger.balances(committed_world.team).held == CREDIT


def test_the_embedded_engines_call_isnt_made_again_for_nobody(
    committed_world: World, program: Program, server: Server
) -> None:
    left_behind(begun(program.key), "sent")
    job, _ = run(server, charges=False)
    assert (job.state, job.reason, server.calls) == (State.FAILED, Reason.PASSED_ON, 0)
    assert ledger.balances(committed_world.team) == UNTOUCHED


def test_a_test_call_that_was_sent_is_over(committed_world: World, program: Program, server: Server) -> None:
    left_behind(begun(program.key, options={"test": "true"}, test=True), "sent")
    job, _ = run(server)
    assert (job.state, job.reason) == (State.FAILED, Reason.PASSED_ON)
    assert ledger.balances(committed_world.team) == UNTOUCHED


@pytest.mark.parametrize("stored", [True, False], ids=["body stored", "body lost"])
def test_an_answer_that_was_recorded_is_booked(
    committed_world: World, program: Program, server: Server, stored: bool
) -> None:
    job = begun(program.key)
    left_behind(job, "answered", status=200, charged_header="0.5", charged_microcredits=500_000)
    if stored:
        with TemporaryUploadedFile("result", None, 0, None) as file:
            files.fill(file, [wire.CUT_OUT])
            files.put(files.result_name(job, 1), file)
    job, _ = run(server)
    expected = (State.DONE, "") if stored else (State.FAILED, Reason.RESULT_LOST)
    assert (job.state, job.reason) == expected
    assert ledger.balances(committed_world.team) == Balances(available=99_500_000, spent=500_000)


@pytest.mark.parametrize("status", [500, 503, 429, 400, 401])
def test_a_recorded_error_isnt_tried_again(
    committed_world: World, program: Program, server: Server, status: int
) -> None:
    left_behind(begun(program.key), "answered", status=status)
    job, _ = run(server)
    assert (job.state, job.attempts.count(), server.calls) == (State.FAILED, 1, 0)
    assert ledger.balances(committed_world.team) == UNTOUCHED


def test_its_repetition_is_told_what_became_of_it(program: Program, server: Server) -> None:
    """A program that asks again after the web process died under its call."""
    key = {"Idempotency-Key": "a"}
    server.script.append(wire.no_answer)
    program.call(headers=key)
    job = the_job()
    Job.objects.update(state=State.RUNNING, lease_until=timezone.now() - timedelta(seconds=1))
    Attempt.objects.update(state="sent")
    worker = later(0.3, lambda: run(server))
    assert refusal(program.call(headers=key)) == (504, -10)
    worker.join()
    assert Job.objects.get().pk == job.pk


def test_a_failed_call_of_a_program_is_nobodys_to_try_again(program: Program, server: Server) -> None:
    server.script.append(wire.error(400, 1006, "No"))
    program.call()
    with pytest.raises(submit.NotFailedError):
        submit.submit_again(the_job(), program.key.owner)


# Whose turn it is -----------------------------------------------------------------------------------


def test_a_program_is_told_to_slow_down_where_all_calls_are_taken(
    committed_world: World, program: Program, settings: Settings
) -> None:
    settings.CALLS_IN_FLIGHT = 1
    held = begun(program.key)
    answer = program.call()
    assert refusal(answer) == (429, 1015)
    assert int(answer.headers["Retry-After"]) > 0
    assert Job.objects.get() == held
    assert ledger.balances(committed_world.team).held == CREDIT


def test_it_waits_for_one_that_ends(program: Program, settings: Settings, server: Server) -> None:
    settings.CALLS_IN_FLIGHT, settings.GATEWAY_WAIT_SECONDS = 1, 20
    held = begun(program.key)
    ending = later(0.5, lambda: claims.fail(held, Reason.REFUSED))
    assert program.call().status_code == 200
    ending.join()


def test_while_a_program_waits_workers_keep_to_one_call(
    committed_world: World, program: Program, settings: Settings
) -> None:
    settings.CALLS_IN_FLIGHT = 3
    for _ in range(5):
        committed_world.job()
    assert claims.claim("worker")
    assert claims.claim("worker")
    concurrency.note_waiting()
    assert claims.claim("worker") is None
    assert begun(program.key)


def test_programs_leave_the_last_call_to_a_worker(
    committed_world: World, program: Program, settings: Settings
) -> None:
    settings.CALLS_IN_FLIGHT = 2
    committed_world.job()
    begun(program.key)
    with pytest.raises(CallLimitError):
        begun(program.key)
    assert claims.claim("worker")


def test_where_no_worker_has_anything_to_do_programs_take_all(program: Program, settings: Settings) -> None:
    settings.CALLS_IN_FLIGHT = 2
    begun(program.key)
    begun(program.key)
    with pytest.raises(CallLimitError):
        begun(program.key)


def test_errors_of_ours_name_no_charge() -> None:
    told: list[ApiError] = [responses.unreachable(), responses.cut_off(), responses.out_of_order()]
    assert {error.status for error in told} == {503}


def test_whoever_loses_its_lease_doesnt_say_that_nothing_was_charged(
    committed_world: World, program: Program, server: Server
) -> None:
    """A worker took the job over while the web process was frozen."""

    def take_over() -> None:
        Job.objects.update(fence=2)
        connection.close()

    server.script.append(wire.after(take_over))
    assert refusal(program.call()) == (504, -10)


def test_a_database_that_is_away_is_nothing_unexpected(
    program: Program, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program is told that the charge isn't known; a worker ends the job once its lease has run out."""

    def is_away(*_: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("jobs.calls.outcomes.handle_lost_response", is_away)
    server.script.append(wire.no_answer)
    assert refusal(program.call()) == (504, -10)
    assert the_job().state == State.RUNNING
    assert "the database doesn't answer" in caplog.text
    assert "unexpected" not in caplog.text
