"""A person decides about a call in doubt, once, with a reason; the books follow by new transfers."""

from typing import Any

import pytest

from accounts.audit_log import ReasonError
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Membership, Role, Transfer, User
from accounts.teams.permissions import may_decide
from accounts.tests.at_once import at_once
from conftest import World, hold_of
from jobs.audit import review
from jobs.calls import attempts
from jobs.calls.attempts import WrongStateError
from jobs.intake.submit import submit_again
from jobs.models import Attempt, Job
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

State = Attempt.State


def in_doubt(world: World, server: Server, step: wire.Step = wire.no_answer) -> Attempt:
    """Return an attempt of a new job with an unknown charge; its hold is one credit."""
    job = world.job()
    server.script.append(step)
    run(server)
    attempt = Attempt.objects.select_related("job__team", "hold").get(job=job, number=1)
    assert attempt.state == State.IN_DOUBT
    return attempt


def balances(world: World) -> Balances:
    return ledger.balances(world.team)


def rows() -> list[Any]:
    tables = (Attempt.objects, Job.objects, Transfer.objects)
    return [row for table in tables for row in table.order_by("pk").values()]


def test_a_charge_is_booked_with_author_and_reason(world: World, server: Server) -> None:
    attempt = in_doubt(world, server)
    review.resolve(attempt, CREDIT * 3 // 4, world.alice, " the invoice says so ")

    assert balances(world) == Balances(available=100 * CREDIT - CREDIT * 3 // 4, spent=CREDIT * 3 // 4)
    settled = Transfer.objects.get(kind="settle")
    assert (settled.actor, settled.memo) == (world.alice, "the invoice says so")
    attempt.refresh_from_db()
    assert (attempt.state, attempt.known_microcredits) == (State.BOOKED, CREDIT * 3 // 4)
    assert (attempt.reviewed_by, attempt.review_note) == (world.alice, "the invoice says so")
    assert (attempt.job.state, attempt.job.reason) == ("failed", Job.Reason.RESULT_LOST)


def test_no_charge_gives_the_hold_back_and_lets_the_picture_go_again(world: World, server: Server) -> None:
    attempt = in_doubt(world, server)
    review.resolve(attempt, 0, world.alice, "asked")
    assert balances(world) == Balances(available=100 * CREDIT)
    assert Transfer.objects.get(kind="release").memo == "asked"
    job = Job.objects.get()
    assert (job.state, job.reason) == ("failed", Job.Reason.NOT_CHARGED)
    submit_again(job, world.alice)
    assert run(server)[0].state == "done"


def test_a_charge_above_the_hold_is_owed_and_needs_no_second_look(world: World, server: Server) -> None:
    review.resolve(in_doubt(world, server), 3 * CREDIT, world.alice, "asked")
    assert balances(world) == Balances(available=97 * CREDIT, spent=3 * CREDIT)
    assert not Attempt.objects.for_review().exists()


def test_a_job_with_its_result_stays_done(world: World, server: Server) -> None:
    attempt = in_doubt(world, server, wire.answer(charged=None))
    review.resolve(attempt, CREDIT, world.alice, "asked")
    assert Job.objects.get().state == "done"


@pytest.mark.parametrize("last_first", [False, True])
def test_a_job_waits_for_its_last_call_alone(world: World, server: Server, last_first: bool) -> None:
    """The first call's header was unreadable, so the job was retried; the second call got no response."""
    first = in_doubt(world, server, wire.error(500, X_Credits_Charged="many"))
    server.script.append(wire.no_answer)
    run(server)
    last = Attempt.objects.get(number=2)
    decisions = [(first, CREDIT, "in_doubt"), (last, 0, "failed")]
    if last_first:
        decisions = [(last, 0, "failed"), (first, CREDIT, "failed")]
    for attempt, charged, state in decisions:
        review.resolve(attempt, charged, world.alice, "asked")
        assert Job.objects.get().state == state
    assert Job.objects.get().reason == Job.Reason.NOT_CHARGED
    assert balances(world) == Balances(available=99 * CREDIT, spent=CREDIT)


@pytest.mark.parametrize("why", ["", "  \n", "x" * 401])
def test_a_reason_is_needed(world: World, server: Server, why: str) -> None:
    attempt = in_doubt(world, server)
    before = rows()
    with pytest.raises(ReasonError):
        review.resolve(attempt, 0, world.alice, why)
    assert rows() == before


@pytest.mark.parametrize("charged", [-1, 2**53])
def test_a_charge_is_an_amount(world: World, server: Server, charged: int) -> None:
    attempt = in_doubt(world, server)
    before = rows()
    with pytest.raises(ValueError, match="can't have been charged"):
        review.resolve(attempt, charged, world.alice, "asked")
    assert rows() == before


@pytest.mark.parametrize("charged", [0, CREDIT])
def test_only_what_is_in_doubt_is_decided(world: World, server: Server, charged: int) -> None:
    world.job()
    run(server)
    booked = Attempt.objects.get()
    before = rows()
    with pytest.raises(WrongStateError):
        review.resolve(booked, charged, world.alice, "asked")
    assert rows() == before


def test_what_the_ledger_refuses_leaves_the_attempt_in_doubt(world: World, server: Server) -> None:
    attempt = in_doubt(world, server)
    ledger.release(hold_of(attempt))
    before = rows()
    with pytest.raises(review.NotBookedError, match="AlreadyResolvedError"):
        review.resolve(attempt, CREDIT, world.alice, "asked")
    assert rows() == before


def decide_at_once(world: World, attempt_pk: int, count: int) -> list[str]:
    def decide(number: int) -> None:
        attempt = Attempt.objects.select_related("hold").get(pk=attempt_pk)
        review.resolve(attempt, number * CREDIT, world.alice, f"says {number}")

    return at_once(count, decide, WrongStateError)


def test_of_two_at_once_one_wins(committed_world: World, server: Server) -> None:
    attempt = in_doubt(committed_world, server)
    assert decide_at_once(committed_world, attempt.pk, 4) == ["done", *["too late"] * 3]
    attempt.refresh_from_db()
    assert attempt.known_microcredits is not None
    assert balances(committed_world).held == 0
    assert balances(committed_world).spent == attempt.known_microcredits


def test_without_the_look_at_its_state_it_would_be_decided_twice(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the row says whatever came last, and only the ledger's own guard is left."""
    attempt = in_doubt(world, server)
    review.resolve(attempt, CREDIT, world.alice, "first")
    monkeypatch.setattr(attempts, "_move", lambda *_args, **_changes: None)
    with pytest.raises(review.NotBookedError, match="AlreadyResolvedError"):
        review.resolve(attempt, 0, world.alice, "second")


def test_an_overage_is_acknowledged_once(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.answer(charged="1.5"))
    run(server)
    attempt = Attempt.objects.for_review().get()
    review.acknowledge(attempt, world.alice, "a large one")
    assert not Attempt.objects.for_review().exists()
    row = Attempt.objects.get()
    assert (row.reviewed_by, row.review_note) == (world.alice, "a large one")
    assert row.reviewed_at == attempt.reviewed_at
    with pytest.raises(WrongStateError):
        review.acknowledge(attempt, world.bob, "again")
    assert Attempt.objects.get().reviewed_by == world.alice


def test_nothing_else_is_acknowledged(world: World, server: Server) -> None:
    attempt = in_doubt(world, server)
    with pytest.raises(WrongStateError):
        review.acknowledge(attempt, world.alice, "never mind")
    with pytest.raises(ReasonError):
        review.acknowledge(attempt, world.alice, "")


def test_managers_and_staff_decide(world: World) -> None:
    Membership.objects.filter(user=world.vera).update(role=Role.MANAGER)
    root = User.objects.create_superuser("root@example.org")
    staff = User.objects.create_user("staff@example.org", is_staff=True)
    gone = User.objects.create_user("gone@example.org", is_staff=True, is_active=False)
    may = {
        user.email.partition("@")[0]: may_decide(user, world.team)
        for user in (world.alice, world.bob, world.vera, world.charlie, root, staff, gone)
    }
    assert {name for name, allowed in may.items() if allowed} == {"alice", "vera", "root", "staff"}


def test_the_worker_that_still_has_the_job_is_not_disturbed(world: World, server: Server) -> None:
    """The earlier attempt is decided while the next one is in progress."""
    first = in_doubt(world, server, wire.error(500, X_Credits_Charged="many"))
    Job.objects.update(run_after=first.prepared_at)
    job = claims.claim("busy")
    review.resolve(first, 0, world.alice, "asked")
    assert job
    assert Job.objects.filter(pk=job.pk, state="running", fence=job.fence).exists()
