"""An upstream that refuses the account, isn't Pixian at all, or answers with anything but a picture."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World
from jobs.audit.reconcile import books
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.storage import files
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server
from jobs.tests.worker.test_worker import add, all_done, until, working
from jobs.worker import periodic, run
from pixian.client.backoff import Backoff

Reason = Job.Reason
HTML = b"<!doctype html><h1>Welcome to nginx!</h1>"


def turn(upstream: Upstream) -> Job:
    """The next job, due or not, brought as far as it goes."""
    Job.objects.filter(state="queued").update(run_after=timezone.now())
    job = claims.claim("test")
    assert job
    run.process(job, upstream, Backoff())
    job.refresh_from_db()
    return job


def held(world: World) -> int:
    return ledger.balances(world.team).held


def test_the_account_is_asked_once_before_the_first_picture(world: World, server: Server) -> None:
    upstream = server.upstream
    for _ in range(2):
        world.job()
        assert turn(upstream).state == "done"
    assert (server.account_calls, server.calls) == (1, 2)


def test_the_embedded_engine_has_no_account_to_ask(world: World, server: Server) -> None:
    world.job()
    turn(Upstream(server.upstream.client, charges=False))
    assert (server.account_calls, server.calls) == (0, 1)


# Where an operator has to look ------------------------------------------------------------------------

NEEDS_AN_OPERATOR = [
    (401, Reason.ACCOUNT),
    (402, Reason.ACCOUNT),
    (403, Reason.ACCOUNT),
    (404, Reason.NOT_PIXIAN),
    (302, Reason.NOT_PIXIAN),
    (204, Reason.NOT_PIXIAN),
]


@pytest.mark.parametrize(("status", "reason"), NEEDS_AN_OPERATOR)
def test_a_refused_account_waits_and_resumes_by_itself(
    world: World, server: Server, status: int, reason: Reason
) -> None:
    """The picture isn't judged: it waits with its hold, and nothing is sent until the account answers."""
    world.job()
    upstream = server.upstream
    server.script.append(wire.error(status, 1004, "Look at the key") if status != 204 else wire.error(204))
    job = turn(upstream)
    attempt = job.last_attempt
    assert (job.state, job.reason, attempt.state) == ("queued", reason, Attempt.State.PREPARED)
    assert attempt.status == status
    assert attempt.error_message == ("Look at the key" if status != 204 else "The answer was HTTP 204.")
    assert job.run_after > timezone.now()
    assert held(world) == CREDIT

    server.account_status = status
    for asked in (2, 3):
        job = turn(upstream)
        assert (job.state, job.reason) == ("queued", reason)
        assert (server.calls, server.account_calls) == (1, asked)
    assert held(world) == CREDIT

    server.account_status = 200
    job = turn(upstream)
    assert (job.state, job.reason, job.attempts.count(), server.calls) == ("done", "", 1, 2)
    assert job.last_attempt.error_message == ""
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


@pytest.mark.parametrize("body", [HTML, b"", b"[]", b'{"credits": "many"}', b'{"credits": NaN}'])
def test_a_web_page_in_place_of_the_account_is_sent_no_picture(
    world: World, server: Server, body: bytes
) -> None:
    world.job()
    server.account_body = body
    job = turn(server.upstream)
    assert (job.state, job.reason, server.calls) == ("queued", Reason.NOT_PIXIAN, 0)
    assert job.last_attempt.sends == 0
    assert held(world) == CREDIT


@pytest.mark.parametrize(("status", "reason"), [(429, Reason.SLOW_DOWN), (503, Reason.UNREACHABLE)])
def test_an_account_that_does_not_answer_now_is_asked_again(
    world: World, server: Server, status: int, reason: Reason
) -> None:
    world.job()
    server.account_status = status
    upstream = server.upstream
    for _ in range(2):
        job = turn(upstream)
        assert (job.state, job.reason, server.calls) == ("queued", reason, 0)
    server.account_status = 200
    assert turn(upstream).state == "done"


@pytest.mark.parametrize(("charge", "spent"), [("0.5", 500_000), ("0.000001", 1)])
def test_a_refused_account_that_was_charged_all_the_same_is_booked(
    world: World, server: Server, charge: str, spent: int
) -> None:
    world.job()
    server.script.append(wire.error(401, 1004, "Wrong", X_Credits_Charged=charge))
    job = turn(server.upstream)
    assert (job.state, job.last_attempt.state) == ("failed", Attempt.State.BOOKED)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT - spent, spent=spent)


def test_a_charge_of_nothing_keeps_a_refused_account_waiting(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.error(402, 1004, "Empty", X_Credits_Charged="0.000000"))
    assert turn(server.upstream).reason == Reason.ACCOUNT
    assert held(world) == CREDIT


def test_a_refused_account_with_an_unreadable_charge_is_in_doubt(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.error(403, 1004, "Wrong", X_Credits_Charged="some"))
    attempt = turn(server.upstream).last_attempt
    assert (attempt.state, attempt.charged_header) == (Attempt.State.IN_DOUBT, "some")
    assert held(world) == CREDIT


# Several threads --------------------------------------------------------------------------------------


def revoke_the_secret(server: Server) -> None:
    server.account_status = 401
    server.otherwise = wire.error(401, 1004, "The secret is wrong")


def restore_the_secret(server: Server) -> None:
    server.account_status = 200
    server.otherwise = wire.answer()


@pytest.fixture
def trusted(committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """An upstream that has answered well; then its secret is revoked, with ten pictures in the queue."""
    monkeypatch.setattr(run, "OPERATOR_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(periodic, "TASKS", {})  # the balance is asked for at the same address
    upstream = server.upstream
    upstream.ensure_verified()
    server.account_calls = 0
    add(committed_world, 10)
    revoke_the_secret(server)
    return upstream


def test_a_revoked_secret_costs_one_picture_a_thread_and_the_queue_resumes(
    trusted: Upstream, committed_world: World, server: Server
) -> None:
    with working(trusted, threads=2):
        until(lambda: server.account_calls >= 6)
        assert 1 <= server.calls <= 2
        assert set(Job.objects.values_list("state", flat=True)) <= {"queued", "running"}
        wrong = server.calls
        restore_the_secret(server)
        until(all_done)
    assert server.calls == wrong + 10
    assert Attempt.objects.count() == 10
    assert held(committed_world) == 0


def test_without_suspicion_every_picture_is_sent(
    trusted: Upstream, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(Upstream, "mark_unverified", lambda _: None)
    with working(trusted, threads=2):
        until(lambda: server.calls >= 10)
    assert server.account_calls == 0


# A success that is no picture -------------------------------------------------------------------------


def not_a_picture(charged: str | None = "1.000000") -> wire.Step:
    return wire.answer(HTML, charged, kind="text/html")


def test_a_success_without_a_picture_is_booked_and_fails(world: World, server: Server) -> None:
    world.job()
    server.script.append(not_a_picture())
    job = turn(server.upstream)
    assert (job.state, job.reason, bool(job.result)) == ("failed", Reason.NOT_A_PICTURE, False)
    attempt = job.last_attempt
    assert attempt.state == Attempt.State.BOOKED
    assert attempt.error_message == f"The answer was no picture: text/html, {len(HTML)} bytes."
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    assert books(Job.objects.with_books().get()).verdict == "matched"


@pytest.mark.parametrize("header", [None, "one credit", "0.1_5"])
def test_without_a_charge_that_can_be_read_it_waits_for_a_person(
    world: World, server: Server, header: str | None
) -> None:
    world.job()
    server.script.append(not_a_picture(header))
    job = turn(server.upstream)
    attempt = job.last_attempt
    assert (job.state, job.reason, bool(job.result)) == ("in_doubt", Reason.NOT_A_PICTURE, False)
    assert (attempt.state, attempt.charged_header) == (Attempt.State.IN_DOUBT, header)
    assert held(world) == CREDIT
    assert claims.claim("test") is None


def test_after_it_the_account_is_asked_before_the_next_picture(world: World, server: Server) -> None:
    upstream = server.upstream
    for _ in range(2):
        world.job()
    server.script.append(not_a_picture())
    turn(upstream)
    server.account_body = HTML
    assert turn(upstream).reason == Reason.NOT_PIXIAN
    assert (server.calls, server.account_calls) == (1, 2)


def test_unless_it_is_looked_at_a_web_page_counts_as_a_result(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""

    def believe(body: Any) -> None:
        body.seek(0, 2)

    monkeypatch.setattr(files, "check_picture", believe)
    world.job()
    server.script.append(not_a_picture())
    assert turn(server.upstream).state == "done"
