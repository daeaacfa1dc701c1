"""What can't be booked goes to a person after a bounded number of tries, with all that is known of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import DataError, IntegrityError, OperationalError
from django.test import Client
from django.urls import reverse

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import LedgerAccount, User
from conftest import World
from jobs.audit import review
from jobs.audit.reconcile import Verdict, books
from jobs.audit.verify import run as verify
from jobs.calls import attempts, outcomes, responses
from jobs.calls.outcomes import MAX_BOOKING_FAILURES
from jobs.models import Attempt, Batch, Job
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.calls.test_one_call import content
from jobs.tests.upstream import Server, run
from pixian.protocol.errors import BodyLost

pytestmark = pytest.mark.both_databases

ERRORS = [
    IntegrityError("refused"),
    DataError("bigint out of range"),
    OverflowError("too large"),
    KeyError("bug"),
]


@contextmanager
def failing(error: Exception, where: tuple[Any, str] = (ledger, "settle")) -> Iterator[None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*where, fail)
        yield


def try_to_book(server: Server, error: Exception, times: int, where: Any = (ledger, "settle")) -> None:
    with failing(error, where):
        for _ in range(times):
            with pytest.raises(type(error)):
                run(server)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_after_some_tries_a_person_gets_it_with_its_evidence(
    world: World, server: Server, error: Exception
) -> None:
    world.job()
    for tries in range(1, MAX_BOOKING_FAILURES):
        try_to_book(server, error, 1)
        attempt = Attempt.objects.get()
        assert (attempt.state, attempt.booking_failures, Job.objects.get().state) == (
            "answered",
            tries,
            "running",
        )
    try_to_book(server, error, 1)
    attempt, job = Attempt.objects.get(), Job.objects.get()
    assert (attempt.state, attempt.doubt, attempt.status) == ("in_doubt", Attempt.Doubt.UNBOOKED, 200)
    assert (attempt.charged_header, attempt.charged_microcredits) == ("1.000000", CREDIT)
    assert type(error).__name__ in attempt.booking_error
    assert (job.state, job.reason, server.calls) == ("in_doubt", Job.Reason.NOT_BOOKED, 1)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, held=CREDIT)
    assert list(Attempt.objects.for_review()) == [attempt]
    assert books(Job.objects.with_books().get()).verdict == Verdict.UNBOOKED
    assert claims.claim("test") is None
    assert verify().findings == []


def test_mended_in_time_it_is_booked_as_ever(world: World, server: Server) -> None:
    world.job()
    try_to_book(server, IntegrityError("refused"), MAX_BOOKING_FAILURES - 1)
    job, _ = run(server)
    assert (job.state, job.last_attempt.state, server.calls) == ("done", "booked", 1)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


@pytest.mark.parametrize("charged", [0, CREDIT, 3 * CREDIT])
def test_once_decided_the_result_that_was_stored_is_the_jobs(
    world: World, server: Server, charged: int
) -> None:
    world.job(batch=uuid4())
    Batch.objects.update(outputs=[{"name": "White", "style": {"format": "jpeg"}}])
    try_to_book(server, IntegrityError("refused"), MAX_BOOKING_FAILURES)
    review.resolve(Attempt.objects.get(), charged, world.alice, "mended")
    job = Job.objects.get()
    assert (job.state, content(job)) == ("done", wire.CUT_OUT)
    assert job.renditions.get().state == "wanted"  # as its batch becomes
    assert ledger.balances(world.team).spent == charged
    assert verify().findings == []


def test_while_it_still_cant_be_booked_whoever_decides_is_told(world: World, server: Server) -> None:
    world.job()
    try_to_book(server, IntegrityError("refused"), MAX_BOOKING_FAILURES)
    attempt = Attempt.objects.get()
    with failing(IntegrityError("still refused")):
        with pytest.raises(CommandError, match="stays in doubt: IntegrityError: still refused"):
            call_command("resolve", str(attempt.pk), "--charged=1", "--why=so", "--by=alice@example.org")
        admin = Client()
        admin.force_login(User.objects.create_superuser("root@example.org"))
        case = reverse("decide_case", args=["aurora", f"attempt-{attempt.pk}"])
        page = admin.post(case, {"action": "charged", "credits": "1", "reason": "so"})
    assert b"still refused" in page.content
    attempt.refresh_from_db()
    assert (attempt.state, ledger.balances(world.team).held) == ("in_doubt", CREDIT)


def by_an_error(server: Server) -> None:
    server.script.append(wire.error(400, 1006, "no"))


def by_a_charged_error(server: Server) -> None:
    server.script.append(wire.error(500, X_Credits_Charged="0.5"))


def by_a_lost_body(server: Server) -> None:
    server.script.append(wire.answer(cut=True))


def by_what_is_no_picture(server: Server) -> None:
    server.script.append(wire.answer(b"<html>", kind="text/html"))


@pytest.mark.parametrize(
    ("ends", "step"),
    [
        (by_an_error, "release"),
        (by_a_charged_error, "settle"),
        (by_a_lost_body, "settle"),
        (by_what_is_no_picture, "settle"),
    ],
)
def test_however_the_call_ended(
    world: World, server: Server, ends: Callable[[Server], None], step: str
) -> None:
    world.job()
    ends(server)
    try_to_book(server, IntegrityError("refused"), MAX_BOOKING_FAILURES, (ledger, step))
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.doubt, server.calls) == ("in_doubt", Attempt.Doubt.UNBOOKED, 1)
    assert ledger.balances(world.team).held == CREDIT
    review.resolve(attempt, 0, world.alice, "mended")
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_a_hold_that_cannot_be_given_back_before_anything_was_sent(world: World, server: Server) -> None:
    default_storage.delete(str(world.job().source.name))
    try_to_book(server, IntegrityError("refused"), MAX_BOOKING_FAILURES, (ledger, "release"))
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.sent_at, server.calls) == ("in_doubt", None, 0)
    review.resolve(attempt, 0, world.alice, "nothing was sent")
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_the_database_itself_may_refuse(world: World, server: Server) -> None:
    """A held balance that somebody has emptied: not a stand-in for the ledger, but its own constraint."""
    world.job()
    LedgerAccount.objects.filter(team=world.team, kind="held").update(balance_microcredits=0)
    for _ in range(MAX_BOOKING_FAILURES):
        with pytest.raises(ledger.LedgerError):
            run(server)
    assert Attempt.objects.get().doubt == Attempt.Doubt.UNBOOKED


def test_a_database_that_is_away_counts_as_no_failure(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.calls.execute.INSIST_SECONDS", -1)
    world.job()
    try_to_book(server, OperationalError("away"), MAX_BOOKING_FAILURES + 2)
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.booking_failures) == ("answered", 0)
    assert run(server)[0].state == "done"


def test_a_programs_call_counts_too(program: Program, committed_world: World, server: Server) -> None:
    with failing(IntegrityError("refused")):
        with pytest.raises(BodyLost):
            program.call()
        assert Attempt.objects.get().booking_failures == 1
        for _ in range(MAX_BOOKING_FAILURES - 1):
            with pytest.raises(IntegrityError):
                run(server)
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.doubt, server.calls) == ("in_doubt", Attempt.Doubt.UNBOOKED, 1)
    assert ledger.balances(committed_world.team).held == CREDIT
    told = responses.of(Job.objects.get())
    assert told
    assert (told.status, told.message) == (504, "It isn't known yet what became of the call.")


def test_uncounted_it_would_go_on_for_ever(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(outcomes, "counting_failures", lambda *_: nullcontext())
    world.job()
    try_to_book(server, IntegrityError("refused"), 3 * MAX_BOOKING_FAILURES)
    assert (Attempt.objects.get().state, Job.objects.get().state) == ("answered", "running")
    assert not Attempt.objects.for_review().exists()


def test_a_reason_that_no_column_takes_is_cut(world: World, server: Server) -> None:
    world.job()
    try_to_book(server, ValueError("x\0y" * 1000), MAX_BOOKING_FAILURES)
    assert len(Attempt.objects.get().booking_error) == attempts.MAX_MESSAGE
