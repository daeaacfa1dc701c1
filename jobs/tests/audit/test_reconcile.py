"""Test the verdict on each attempt, and a job's money over all its attempts."""

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import Transfer
from conftest import World, hold_of
from jobs.audit import review
from jobs.audit.reconcile import Books, Verdict, books, verdict
from jobs.audit.reconcile.verdicts import Sums, tally
from jobs.models import Attempt, Job
from jobs.templatetags.jobs import TONE_OF_STATE, TONE_OF_VERDICT
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

State = Attempt.State
RELEASED = -1  # in place of a charge: the hold went back


def attempt(world: World, state: str, status: int | None, header: int | None, booked: int | None) -> Attempt:
    """Make an attempt with these rows, however they came about; the hold is one credit."""
    found = world.job().last_attempt
    if booked == RELEASED:
        ledger.release(hold_of(found))
    elif booked is not None:
        ledger.settle(hold_of(found), booked)
    rows = Attempt.objects.filter(pk=found.pk)
    rows.update(state=state, status=status, charged_microcredits=header, sent_at=timezone.now())
    return rows.with_verdict().get()


@pytest.mark.parametrize(
    ("state", "status", "header", "booked", "expected"),
    [
        (State.BOOKED, 200, CREDIT, CREDIT, Verdict.MATCHED),
        (State.BOOKED, 200, CREDIT // 2, CREDIT // 2, Verdict.MATCHED),
        (State.BOOKED, 200, 0, 0, Verdict.MATCHED),
        (State.BOOKED, 500, CREDIT, CREDIT, Verdict.MATCHED),
        (State.BOOKED, 200, CREDIT + 1, CREDIT + 1, Verdict.OVERAGE),
        (State.BOOKED, 200, CREDIT, CREDIT // 2, Verdict.MISMATCH),
        (State.BOOKED, 200, CREDIT, CREDIT + 1, Verdict.MISMATCH),
        (State.BOOKED, 200, CREDIT, RELEASED, Verdict.MISMATCH),
        (State.BOOKED, 200, CREDIT, None, Verdict.MISMATCH),
        (State.BOOKED, 200, None, CREDIT, Verdict.MISMATCH),
        (State.RELEASED, 400, None, RELEASED, Verdict.RELEASED),
        (State.RELEASED, 200, 0, RELEASED, Verdict.RELEASED),
        (State.RELEASED, 400, None, CREDIT, Verdict.MISMATCH),
        (State.RELEASED, 500, CREDIT, RELEASED, Verdict.MISMATCH),
        (State.IN_DOUBT, None, None, None, Verdict.IN_DOUBT),
        (State.IN_DOUBT, 200, None, None, Verdict.NO_HEADER),
        (State.PREPARED, None, None, None, Verdict.OPEN),
        (State.SENT, None, None, None, Verdict.OPEN),
        (State.ANSWERED, 200, CREDIT, None, Verdict.OPEN),
    ],
)
def test_the_verdict(
    world: World, state: str, status: int | None, header: int | None, booked: int | None, expected: Verdict
) -> None:
    assert verdict(attempt(world, state, status, header, booked)) == expected


def test_every_state_and_verdict_has_a_tone() -> None:
    assert set(TONE_OF_STATE) == set(Job.State)
    assert set(TONE_OF_VERDICT) == set(Verdict)


def story() -> Books:
    return books(Job.objects.with_books().get())


def test_a_new_job_has_a_hold_and_nothing_else(world: World) -> None:
    world.job()
    assert story() == Books(CREDIT, CREDIT, None, None, Verdict.OPEN)


def test_charges_and_bookings_are_sums_over_all_attempts(world: World, server: Server) -> None:
    world.job()
    charges = ["0.25", "0.5"]
    server.script.extend(wire.error(500, X_Credits_Charged=charge) for charge in charges)
    server.script.append(wire.answer(charged="0.75"))
    run(server)
    assert story() == Books(CREDIT, CREDIT, CREDIT // 4, CREDIT // 4, Verdict.OPEN)
    run(server)
    job, _ = run(server)
    assert job.state == "done"
    assert story() == Books(CREDIT, CREDIT, CREDIT * 3 // 2, CREDIT * 3 // 2, Verdict.MATCHED)
    assert ledger.balances(world.team).spent == CREDIT * 3 // 2


def test_what_was_not_charged_is_booked_as_nothing(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.error(400, 1006, "no"))
    run(server)
    assert story() == Books(CREDIT, CREDIT, None, 0, Verdict.RELEASED)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (wire.error(500, X_Credits_Charged="2"), Verdict.OVERAGE),
        (wire.error(500, X_Credits_Charged="many"), Verdict.NO_HEADER),
        (wire.error(500), Verdict.MATCHED),
    ],
    ids=["overage", "unreadable", "released"],
)
def test_the_verdict_that_a_person_has_to_look_at_comes_first(
    world: World, server: Server, first: wire.Step, expected: Verdict
) -> None:
    world.job()
    server.script.append(first)
    run(server)
    job, _ = run(server)
    assert job.state == "done"
    assert story().verdict == expected


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("1e999999", Verdict.NO_HEADER),
        ("1e30", Verdict.NO_HEADER),
        ("10000000000000", Verdict.IMPLAUSIBLE),
    ],
)
def test_a_charge_that_no_book_can_hold_waits_for_a_person(
    world: World, server: Server, header: str, kind: Verdict
) -> None:
    world.job()
    server.script.append(wire.answer(charged=header))
    job, _ = run(server)
    assert (job.state, job.last_attempt.charged_header) == ("done", header)
    assert story().verdict == kind
    assert ledger.balances(world.team).held == CREDIT


def test_the_books_of_many_jobs_are_read_at_once(
    world: World, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        world.job()
    with django_assert_num_queries(2):
        assert len([books(job) for job in Job.objects.with_books()]) == 3


def test_an_adjustment_does_not_change_what_a_call_took(world: World, server: Server) -> None:
    world.job()
    run(server)
    ledger.adjust(world.team, CREDIT, key="adjust:1", actor=world.alice, memo="blank")
    assert Transfer.objects.filter(kind="adjust").exists()
    assert story().verdict == Verdict.MATCHED


@pytest.mark.parametrize(
    ("charged", "expected"),
    [(0, Verdict.RELEASED), (CREDIT // 2, Verdict.MATCHED), (2 * CREDIT, Verdict.OVERAGE)],
)
def test_what_a_person_decided_counts_as_known(
    world: World, server: Server, charged: int, expected: Verdict
) -> None:
    world.job()
    server.script.append(wire.no_answer)
    run(server)
    review.resolve(Attempt.objects.get(), charged, world.alice, "asked")
    assert story() == Books(CREDIT, CREDIT, charged, charged, expected)
    assert tally(Attempt.objects.all()) == {expected: Sums(1, CREDIT, CREDIT, charged, charged)}


def test_the_embedded_engines_charge_may_be_given_back(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.answer(cut=True))
    run(server, charges=False)
    first = Attempt.objects.with_verdict().get(number=1)
    assert (first.charged_microcredits, verdict(first)) == (CREDIT, Verdict.RELEASED)
    assert Verdict.RELEASED in tally(Attempt.objects.filter(number=1))


def _booked_by_the_ledger(attempt: Attempt) -> int:
    rows = hold_of(attempt).resolutions.filter(kind__in=Transfer.BOOKINGS)
    return sum(row.amount_microcredits for row in rows)


def test_the_sums_of_many_are_those_of_each(world: World, server: Server) -> None:
    """R10 in small: equal to the micro-credit."""
    answers = [
        wire.answer(charged="0.333333"),
        wire.answer(charged="1.000001"),
        wire.answer(charged=None),
        wire.error(400, 1006, "no"),
        wire.error(500, X_Credits_Charged="0.1"),
        wire.answer(charged="0.7"),
        wire.no_answer,
        wire.answer(charged="1000"),
        wire.answer(charged=None),
    ]
    for step in answers:
        if not Job.objects.unfinished().exists():
            world.job()
        server.script.append(step)
        run(server)
    Attempt.objects.filter(pk=Attempt.objects.latest("pk").pk).update(doubt=Attempt.Doubt.UNBOOKED)
    world.job()

    attempts = list(Attempt.objects.with_verdict().select_related("job"))
    expected = {
        kind: Sums(
            len(some),
            sum(a.job.estimated_microcredits for a in some),
            sum(hold_of(a).amount_microcredits for a in some),
            sum(a.known_microcredits or 0 for a in some),
            sum(_booked_by_the_ledger(a) for a in some),
        )
        for kind in Verdict
        if (some := [a for a in attempts if verdict(a) == kind])
    }
    found = tally(Attempt.objects.all())
    assert found == expected
    assert set(found) == set(Verdict) - {Verdict.MISMATCH}
    assert sum(sums.booked for sums in found.values()) == ledger.balances(world.team).spent
