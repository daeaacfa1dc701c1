"""A worker that was given up for dead keeps what its answer says of the charge; nothing is booked twice."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError
from structlog.testing import capture_logs

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World
from jobs.audit import review
from jobs.audit.reconcile import Verdict, books
from jobs.audit.verify import run as verify
from jobs.calls import attempts, execute, outcomes
from jobs.calls.upstream import Upstream
from jobs.intake.submit import submit_again
from jobs.models import Attempt, Job, Price
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.upstream import Server, run
from jobs.worker import run as process
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases

Doubt = Attempt.Doubt
Meanwhile = Callable[[], None]


@pytest.fixture
def frozen(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Attempt, Job]]:
    """Call, and freeze between the answer's arrival and its record; ``meanwhile`` others do as they do."""
    world.job()
    record = execute._record

    def freeze(meanwhile: Meanwhile, *, charges: bool = True) -> tuple[Attempt, Job]:
        def wake_up(*arguments: Any) -> None:
            monkeypatch.setattr(execute, "_record", record)
            meanwhile()
            record(*arguments)

        monkeypatch.setattr(execute, "_record", wake_up)
        job = claims.claim("frozen")
        assert job
        with pytest.raises(claims.LostLeaseError):
            process.process(job, Upstream(server.upstream.client, charges=charges), Backoff())
        job.refresh_from_db()
        return job.attempts.get(number=1), job

    return freeze


@pytest.mark.parametrize("charged", ["1.000000", "0.25", "0", None, "many", "1000"])
def test_in_doubt_by_others_it_has_its_evidence_and_stays_in_doubt(
    world: World, server: Server, frozen: Any, charged: str | None
) -> None:
    server.otherwise = wire.answer(charged=charged)
    with capture_logs() as logs:
        attempt, job = frozen(lambda: run(server))
    assert (attempt.state, job.state, server.calls) == ("in_doubt", "in_doubt", 1)
    assert (attempt.status, attempt.charged_header) == (200, charged)
    assert ["content-type", "image/png"] in [list(pair) for pair in attempt.headers]
    assert attempt.doubt == (Doubt.IMPLAUSIBLE if charged == "1000" else Doubt.LATE)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, held=CREDIT)
    assert any(entry.get("charged") == charged for entry in logs if entry["log_level"] == "error")
    assert not Price.objects.exists()
    assert verify().findings == []


def test_whoever_decides_then_books_once(world: World, server: Server, frozen: Any) -> None:
    attempt, _ = frozen(lambda: run(server))
    assert books(Job.objects.with_books().get()).verdict == Verdict.IN_DOUBT
    review.resolve(attempt, CREDIT, world.alice, "as the header says")
    with pytest.raises(attempts.WrongStateError):
        review.resolve(attempt, CREDIT, world.alice, "again")
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    assert books(Job.objects.with_books().get()).verdict == Verdict.MATCHED
    assert verify().findings == []


def test_claimed_and_not_yet_looked_at_it_is_booked_from_the_evidence(
    world: World, server: Server, frozen: Any
) -> None:
    claimed: list[Job] = []

    def claim() -> None:
        Job.objects.update(lease_until="2020-01-01T00:00Z")
        claimed.append(claims.claim("other") or pytest.fail("nothing to claim"))
        assert claimed[0].last_attempt.state == "sent"

    attempt, _ = frozen(claim)
    assert (attempt.state, attempt.charged_microcredits) == ("answered", CREDIT)
    # The other worker has read the attempt before, as sent.
    stale = claimed[0]
    stale_attempt = Attempt.objects.get(pk=attempt.pk)
    stale_attempt.state, stale_attempt.status, stale_attempt.charged_microcredits = "sent", None, None
    outcomes.handle_lost_response(stale, stale_attempt, server.upstream)
    stale.refresh_from_db()
    attempt.refresh_from_db()
    assert (attempt.state, stale.state, stale.reason) == ("booked", "failed", Job.Reason.RESULT_LOST)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    assert (attempt.booking_failures, server.calls) == (0, 1)


@pytest.mark.parametrize("decided", [0, CREDIT // 2, CREDIT])
def test_decided_by_a_person_meanwhile_it_is_evidence_alone(
    world: World, server: Server, frozen: Any, decided: int
) -> None:
    def decide() -> None:
        run(server)
        review.resolve(Attempt.objects.get(), decided, world.alice, "the balance says so")

    attempt, _ = frozen(decide)
    assert (attempt.charged_header, attempt.resolved_microcredits) == ("1.000000", decided)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT - decided, spent=decided)
    contradicted = decided != CREDIT
    assert (books(Job.objects.with_books().get()).verdict == Verdict.MISMATCH) == contradicted
    assert list(Attempt.objects.for_review()) == ([attempt] if contradicted else [])
    if contradicted:
        review.acknowledge(attempt, world.alice, "seen")
        assert not Attempt.objects.for_review().exists()
        assert "the balance says so" in attempt.review_note
        assert books(Job.objects.with_books().get()).verdict != Verdict.MISMATCH


def test_with_a_newer_attempt_each_keeps_to_itself(world: World, server: Server, frozen: Any) -> None:
    def decide_and_try_again() -> None:
        run(server)
        review.resolve(Attempt.objects.get(), 0, world.alice, "not charged")
        submit_again(Job.objects.get(), world.alice)
        assert run(server)[0].state == "done"

    attempt, job = frozen(decide_and_try_again)
    second = job.attempts.get(number=2)
    assert (attempt.state, attempt.charged_header, second.state) == ("released", "1.000000", "booked")
    assert (job.state, server.calls) == ("done", 2)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_repeated_by_the_embedded_engine_it_is_evidence_alone(
    world: World, server: Server, frozen: Any
) -> None:
    def repeat() -> None:
        run(server, charges=False)
        assert run(server, charges=False)[0].state == "done"

    attempt, job = frozen(repeat, charges=False)
    assert (attempt.state, attempt.charged_header, job.state) == ("released", "1.000000", "done")
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    assert verify().findings == []


def test_an_error_answer_is_evidence_too(world: World, server: Server, frozen: Any) -> None:
    server.otherwise = wire.error(500, X_Credits_Charged="0.5")
    attempt, _ = frozen(lambda: run(server))
    assert (attempt.state, attempt.status, attempt.charged_microcredits) == ("in_doubt", 500, CREDIT // 2)


def test_an_answer_that_is_recorded_stays_as_it_is(world: World, server: Server, frozen: Any) -> None:
    def another_send() -> None:
        run(server)
        Attempt.objects.update(sends=2)

    attempt, _ = frozen(another_send)
    assert (attempt.status, attempt.charged_header, attempt.doubt) == (None, None, Doubt.UNANSWERED)


def test_without_it_the_charge_is_known_to_nobody(
    world: World, server: Server, frozen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(attempts, "note_late_answer", lambda *_: None)
    attempt, _ = frozen(lambda: run(server))
    assert (attempt.state, attempt.status, attempt.charged_header, attempt.headers) == (
        "in_doubt",
        None,
        None,
        [],
    )


def test_what_no_database_takes_is_in_the_log(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise DataError("no such text")

    world.job()
    monkeypatch.setattr(attempts, "answer", refuse)
    with capture_logs() as logs, pytest.raises(DataError):
        run(server)
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (entry["status"], entry["charged"]) == (200, "1.000000")


@pytest.fixture
def reclaimed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program's call whose process was frozen, and whose job a worker has ended meanwhile."""
    record = execute._record

    def wake_up(*arguments: Any) -> None:
        monkeypatch.setattr(execute, "_record", record)
        run(server)
        record(*arguments)

    monkeypatch.setattr(execute, "_record", wake_up)


def test_a_programs_call_keeps_it_too(
    program: Program, committed_world: World, reclaimed: None, server: Server
) -> None:
    answer = program.call()
    attempt = Attempt.objects.get()
    assert (answer.status_code, attempt.state, attempt.charged_header) == (504, "in_doubt", "1.000000")
    assert (attempt.doubt, server.calls) == (Doubt.LATE, 1)
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, held=CREDIT)
