"""A charge that can't be right isn't believed: a person looks first, and nobody else pays for it."""

from dataclasses import replace
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings
from structlog.testing import capture_logs

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.audit import review
from jobs.audit.reconcile import Verdict, books
from jobs.calls.attempts import estimate
from jobs.models import Attempt, Job, Price
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

Doubt = Attempt.Doubt
MEGAPIXEL = 1_000_000
# With a hold of one credit and the default factor of ten.
CANNOT_BE_RIGHT = [
    *("10.000001", "10.0000005", "11", "1000", "1000000", "1000000.000000"),
    *("9007199254.740990", "9007199254.740991", "9007199254.740992", "99999999999", "9" * 40, "9" * 3000),
]


def pay(world: World, server: Server, charged: str | None, side: int = 1000) -> Job:
    world.job(small_png(side, side))
    server.script.append(wire.answer(charged=charged))
    return run(server)[0]


@pytest.mark.parametrize("header", CANNOT_BE_RIGHT)
def test_it_is_in_doubt_and_teaches_nothing(world: World, server: Server, header: str) -> None:
    with capture_logs() as logs:
        job = pay(world, server, header)
    attempt = job.last_attempt
    assert (job.state, attempt.state, attempt.doubt) == ("done", "in_doubt", Doubt.IMPLAUSIBLE)
    assert (attempt.charged_header, attempt.charged_microcredits) == (header[:200], None)
    assert ["x-credits-charged", header] in [list(pair) for pair in attempt.headers]
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, held=CREDIT)
    assert books(Job.objects.with_books().get()).verdict == Verdict.IMPLAUSIBLE
    assert (Price.objects.exists(), estimate(MEGAPIXEL)) == (False, CREDIT)
    assert list(Attempt.objects.for_review()) == [attempt]
    (alarm,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (alarm["charged"], alarm["held"]) == (header[:200], CREDIT)


@pytest.mark.parametrize(("header", "charged"), [("10", 10 * CREDIT), ("10.0000004", 10 * CREDIT)])
def test_up_to_the_factor_it_is_booked(world: World, server: Server, header: str, charged: int) -> None:
    attempt = pay(world, server, header).last_attempt
    assert (attempt.state, attempt.charged_microcredits) == ("booked", charged)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT - charged, spent=charged)


@pytest.mark.parametrize(("header", "state"), [("1", "booked"), ("1.000001", "in_doubt"), ("40", "in_doubt")])
def test_a_single_pixel_may_cost_a_credit_at_most(
    world: World, server: Server, header: str, state: str
) -> None:
    """Its hold is one micro-credit, and a plain minimum charge no alarm."""
    assert pay(world, server, header, side=1).last_attempt.state == state


def test_the_factor_is_a_setting(world: World, server: Server, settings: Settings) -> None:
    settings.CHARGE_ALARM_FACTOR = 2
    assert pay(world, server, "2.000001").last_attempt.doubt == Doubt.IMPLAUSIBLE
    assert pay(world, server, "2").last_attempt.state == "booked"


def test_without_the_alarm_one_header_puts_the_team_in_debt(
    world: World, server: Server, settings: Settings
) -> None:
    """The control."""
    settings.CHARGE_ALARM_FACTOR = 1_000_000
    pay(world, server, "601")
    assert ledger.balances(world.team) == Balances(spent=601 * CREDIT, owed=501 * CREDIT)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 504])
@pytest.mark.parametrize("header", ["1000", "9007199254.740991", "9" * 40])
def test_with_an_error_answer_too(world: World, server: Server, status: int, header: str) -> None:
    world.job()
    server.script.append(wire.error(status, X_Credits_Charged=header))
    job, _ = run(server)
    first = job.attempts.get(number=1)
    assert (first.state, first.doubt, first.charged_header) == ("in_doubt", Doubt.IMPLAUSIBLE, header)
    assert ledger.balances(world.team).spent == 0
    assert not Price.objects.exists()


def test_with_a_body_that_is_lost_too(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.answer(charged="1000", cut=True))
    job, _ = run(server)
    assert (job.state, job.last_attempt.doubt) == ("in_doubt", Doubt.IMPLAUSIBLE)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, held=CREDIT)


@pytest.mark.parametrize("header", ["0.000001", "0.5", "1", "1000", "9" * 40, "many", "1e3"])
def test_a_test_that_names_a_charge_waits_for_a_person(
    program: Program, committed_world: World, server: Server, header: str
) -> None:
    server.script.append(wire.answer(charged=header))
    assert program.call(fields={"test": "true"}).status_code == 200
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.charged_header) == ("in_doubt", header)
    review.resolve(attempt, 7, committed_world.alice, "asked Pixian")
    assert books(Job.objects.with_books().get()).verdict == Verdict.MATCHED
    assert ledger.balances(committed_world.team) == Balances(available=100 * CREDIT)


@pytest.mark.parametrize("header", [None, "0", "0.000000", ""])
def test_a_test_that_names_none_is_fine(program: Program, server: Server, header: str | None) -> None:
    server.script.append(wire.answer(charged=header))
    assert program.call(fields={"test": "true"}).status_code == 200
    assert Attempt.objects.get().state in ("booked", "released")
    assert not Attempt.objects.for_review().exists()


@pytest.mark.parametrize("header", ["1000", "9007199254.740991", "9" * 40, "1e3", "NaN"])
def test_a_price_that_a_test_was_told_changes_nothing(program: Program, server: Server, header: str) -> None:
    calculated = (("X-Credits-Calculated", header),)
    server.script.append(replace(wire.answer(charged="0.000000"), headers=calculated))
    answer = program.call(fields={"test": "true"})
    assert (answer.status_code, answer.headers["X-Credits-Calculated"]) == (200, header)
    assert (Attempt.objects.get().state, Price.objects.exists()) == ("booked", False)
    assert estimate(MEGAPIXEL) == CREDIT


@pytest.mark.parametrize("charged", [0, 1, CREDIT, 50 * CREDIT, 1000 * CREDIT])
def test_a_person_may_book_any_amount(world: World, server: Server, charged: int) -> None:
    attempt = pay(world, server, "1000").last_attempt
    review.resolve(attempt, charged, world.alice, "asked Pixian")
    attempt.refresh_from_db()
    assert (attempt.known_microcredits, Job.objects.get().state) == (charged, "done")
    assert ledger.balances(world.team).spent == charged
    assert not Price.objects.exists()
    call_command("verify", quick=True)


@pytest.mark.parametrize("header", ["1_0", "1e3", "+1", "0" * 30, "NaN", "", "1, 1", "01", ".5", "-1"])
def test_what_is_no_plain_decimal_waits_for_a_person(world: World, server: Server, header: str) -> None:
    attempt = pay(world, server, header).last_attempt
    assert (attempt.state, attempt.doubt, attempt.charged_header) == ("in_doubt", Doubt.NO_CHARGE, header)
    assert books(Job.objects.with_books().get()).verdict == Verdict.NO_HEADER


def test_digits_of_other_scripts_are_no_decimal(world: World, server: Server) -> None:
    attempt = pay(world, server, "٣".encode().decode("latin-1")).last_attempt
    assert (attempt.state, attempt.doubt, attempt.charged_header) == ("in_doubt", Doubt.NO_CHARGE, "٣")


def test_a_charge_finer_than_a_micro_credit_is_booked_rounded_and_shown_so(
    world: World, server: Server, client: Any
) -> None:
    job = pay(world, server, "0.3333335")
    attempt = job.last_attempt
    assert (attempt.state, attempt.charged_header, attempt.charged_microcredits) == (
        "booked",
        "0.3333335",
        333_334,
    )
    assert attempt.is_rounded
    assert ledger.balances(world.team).spent == 333_334
    client.force_login(world.bob)
    assert b"rounded" in client.get(job.get_absolute_url()).content
