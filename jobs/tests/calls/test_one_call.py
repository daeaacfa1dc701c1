"""One paid call over a real wire: each row of the architecture's table of what can break."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.audit.reconcile import books
from jobs.calls.outcomes import MAX_ATTEMPTS
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.storage import files
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases

Reason = Job.Reason


def content(job: Job) -> bytes:
    with job.result.open() as file:
        return bytes(file.read())


def balances(world: World) -> Balances:
    return ledger.balances(world.team)


def test_a_call_is_booked_as_charged(world: World, server: Server) -> None:
    world.job()
    assert balances(world).held == CREDIT

    server.script.append(wire.answer(wire.picture("red"), charged="0.750000"))
    job, wait = run(server)

    assert (job.state, job.reason, wait) == ("done", "", 0)
    assert content(job) == wire.picture("red")
    assert balances(world) == Balances(available=99_250_000, spent=750_000)
    story = books(Job.objects.with_books().get())
    assert (story.estimated, story.held, story.charged, story.booked) == (CREDIT, CREDIT, 750_000, 750_000)
    assert story.verdict == "matched"
    attempt = job.last_attempt
    assert attempt.charged_header == "0.750000"
    assert ["content-type", "image/png"] in [list(pair) for pair in attempt.headers]


def test_an_overage_is_booked_in_full(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.answer(charged="1.5"))
    run(server)
    assert balances(world) == Balances(available=98_500_000, spent=1_500_000)
    assert books(Job.objects.with_books().get()).verdict == "overage"


def test_429_waits_and_keeps_the_hold(world: World, server: Server) -> None:
    world.job()
    server.script.extend([wire.error(429, 1015), wire.error(429, 1015, Retry_After="30"), wire.answer()])
    backoff = Backoff()
    for expected in (5, 30):
        job, wait = run(server, backoff)
        assert (job.state, job.reason, wait) == ("queued", Reason.SLOW_DOWN, expected)
        assert timedelta(0) < job.run_after - timezone.now() <= timedelta(seconds=expected)
        assert balances(world).held == CREDIT
    job, _ = run(server, backoff)
    assert job.state == "done"
    assert job.attempts.count() == 1
    assert backoff.refusals == 0


def test_an_unreachable_service_is_tried_again(world: World) -> None:
    world.job()
    with wire.serving() as gone:
        pass
    job, wait = run(gone)
    assert (job.state, job.reason, wait) == ("queued", Reason.UNREACHABLE, 5)
    assert job.last_attempt.state == Attempt.State.PREPARED


def test_a_refusal_gives_the_hold_back_and_says_why(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.error(400, 1006, "Not a picture"))
    job, _ = run(server)
    assert (job.state, job.reason) == ("failed", Reason.REFUSED)
    attempt = job.last_attempt
    assert (attempt.status, attempt.error_code, attempt.error_message) == (400, 1006, "Not a picture")
    assert balances(world) == Balances(available=100 * CREDIT)


def test_a_server_error_is_tried_again_a_bounded_number_of_times(world: World, server: Server) -> None:
    world.job()
    server.script.extend([wire.error(500)] * MAX_ATTEMPTS)
    for _ in range(MAX_ATTEMPTS - 1):
        job, _ = run(server)
        assert (job.state, job.reason) == ("queued", Reason.SERVER_FAILED)
        assert balances(world).held == CREDIT
    job, _ = run(server)
    assert (job.state, job.reason) == ("failed", Reason.GAVE_UP)
    assert [a.state for a in job.attempts.order_by("number")] == ["released"] * MAX_ATTEMPTS
    assert balances(world) == Balances(available=100 * CREDIT)
    assert server.calls == MAX_ATTEMPTS


def test_an_error_that_was_charged_is_booked(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.error(500, X_Credits_Charged="0.5"))
    job, _ = run(server)
    assert job.state == "queued"
    assert balances(world) == Balances(available=98_500_000, held=CREDIT, spent=500_000)


def test_a_wrong_place_that_charged_is_booked_and_not_asked_again(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.error(404, X_Credits_Charged="0.5"))
    job, _ = run(server)
    assert (job.state, job.attempts.count()) == ("failed", 1)
    assert balances(world) == Balances(available=99_500_000, spent=500_000)


def test_a_cut_line_leaves_the_call_in_doubt(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.no_answer)
    job, _ = run(server)
    assert (job.state, job.reason) == ("in_doubt", Reason.UNANSWERED)
    assert books(Job.objects.with_books().get()).verdict == "in_doubt"
    assert balances(world).held == CREDIT
    assert claims.claim("test") is None
    assert server.calls == 1


def test_the_embedded_engine_is_asked_again(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.no_answer)
    job, _ = run(server, charges=False)
    assert (job.state, job.reason) == ("queued", Reason.REPEATED)
    job, _ = run(server, charges=False)
    assert job.state == "done"
    assert balances(world) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_a_lost_body_was_charged_all_the_same(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.answer(cut=True))
    job, _ = run(server)
    assert (job.state, job.reason) == ("failed", Reason.RESULT_LOST)
    assert balances(world) == Balances(available=99 * CREDIT, spent=CREDIT)


@pytest.mark.parametrize("header", [None, "1e-3", "many", "-1", "NaN"])
def test_a_charge_that_cannot_be_read_waits_for_a_person(
    world: World, server: Server, header: str | None
) -> None:
    world.job()
    server.script.append(wire.answer(charged=header))
    job, _ = run(server)
    assert job.state == "done"
    assert job.last_attempt.charged_header == header
    assert books(Job.objects.with_books().get()).verdict == "no_header"
    assert balances(world).held == CREDIT


def test_a_source_that_is_gone_fails_without_a_call(world: World, server: Server) -> None:
    default_storage.delete(str(world.job().source.name))
    job, _ = run(server)
    assert (job.state, job.reason, server.calls) == ("failed", Reason.SOURCE_LOST, 0)
    assert balances(world) == Balances(available=100 * CREDIT)


def test_no_credits_are_left_for_a_second_try(world: World, server: Server) -> None:
    world.job(small_png(1000, 1000))
    free = balances(world).available
    ledger.hold(world.team, free, key="all the rest", reference="")
    server.script.append(wire.error(500, X_Credits_Charged="1"))
    job, _ = run(server)
    assert (job.state, job.reason) == ("failed", Reason.NO_CREDITS)


def test_every_send_is_counted_and_only_the_last_answer_counts(world: World, server: Server) -> None:
    """A 429 says nothing about the call that follows it, whatever its headers were."""
    world.job()
    slow_down = wire.error(429, 1015, "Slow down", X_Credits_Charged="0")
    server.script.extend([slow_down, slow_down, wire.no_answer])
    for sends in (1, 2):
        attempt = run(server)[0].last_attempt
        assert (attempt.sends, attempt.state, attempt.status) == (sends, "prepared", 429)
    job, _ = run(server)
    attempt = job.last_attempt
    assert (job.state, attempt.state, attempt.sends) == ("in_doubt", "in_doubt", 3)
    assert (attempt.status, attempt.charged_header, attempt.headers) == (None, None, [])
    assert books(Job.objects.with_books().get()).verdict == "in_doubt"


@pytest.mark.parametrize("charge", [None, "1.000000"])
def test_a_result_that_cant_be_put_in_place_waits_and_gives_no_charge_back(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, charge: str | None
) -> None:
    """It is no missing source, and the paid body stays where it is."""

    def vanish(*_: Any) -> None:
        raise FileNotFoundError("the folder is gone")

    world.job()
    server.script.append(wire.answer(charged=charge))
    with monkeypatch.context() as patch:
        patch.setattr(files, "put", vanish)
        for _ in range(2):
            job, _wait = run(server)
            assert (job.state, job.reason) == ("queued", Job.Reason.RESULT_WAITS)
            assert balances(world) == Balances(99 * CREDIT, CREDIT)
    job, _ = run(server)
    assert (job.state, server.calls) == ("done", 1)
    assert balances(world) == (
        Balances(99 * CREDIT, spent=CREDIT) if charge else Balances(99 * CREDIT, CREDIT)
    )
