"""What each error means, by what was charged and whether the call is a test. No database."""

from collections.abc import Iterable

import pytest

from jobs.calls import direct
from jobs.calls.decisions import FAILURES, Charge, Decision, Hold, Next, decide, decide_invalid, hold_for
from jobs.models import Job
from jobs.storage.disk_space import InsufficientStorageError
from jobs.storage.files import (
    NotStoredError,
    SourceLostError,
    SourceUnreadableError,
    StorageUnavailableError,
)
from pixian.protocol import errors
from pixian.protocol.errors import from_response

Reason = Job.Reason
FREE = (Charge.ABSENT, Charge.ZERO)
CHARGED = (Charge.AMOUNT, Charge.UNREADABLE)

Row = tuple[Exception, Iterable[Charge], Hold, Next, Reason]


def answer(status: int, code: int = 0) -> errors.ApiError:
    return from_response(status, {"error": {"code": code, "message": "no"}})


WAITS: list[Row] = [
    (answer(429), FREE, Hold.KEEP, Next.RESEND, Reason.SLOW_DOWN),
    (errors.Unreachable(), Charge, Hold.KEEP, Next.RESEND, Reason.UNREACHABLE),
    (InsufficientStorageError(), Charge, Hold.KEEP, Next.AWAIT_OPERATOR, Reason.DISK_FULL),
    (StorageUnavailableError(), Charge, Hold.KEEP, Next.AWAIT_OPERATOR, Reason.STORAGE),
    (SourceUnreadableError(), Charge, Hold.KEEP, Next.AWAIT_OPERATOR, Reason.STORAGE),
    (NotStoredError(), Charge, Hold.KEEP, Next.AWAIT_ROOM, Reason.RESULT_WAITS),
    *((answer(status), FREE, Hold.KEEP, Next.AWAIT_OPERATOR, Reason.ACCOUNT) for status in (401, 402, 403)),
    *(
        (answer(status), FREE, Hold.KEEP, Next.AWAIT_OPERATOR, Reason.NOT_PIXIAN)
        for status in (204, 302, 404, 405, 407, 421, 426)
    ),
]
ENDS: list[Row] = [
    (SourceLostError(), Charge, Hold.RELEASE, Next.FAIL, Reason.SOURCE_LOST),
    *((answer(status), FREE, Hold.RELEASE, Next.FAIL, Reason.REFUSED) for status in (400, 413, 499)),
    *((answer(status), FREE, Hold.RELEASE, Next.RETRY, Reason.SERVER_FAILED) for status in (500, 503)),
    (answer(429, 1017), FREE, Hold.RELEASE, Next.RETRY, Reason.SERVER_FAILED),
]
CHARGED_ALL_THE_SAME: list[Row] = [
    row
    for statuses, next_, reason in (
        ((400, 401, 402, 403, 404, 413, 429), Next.FAIL, Reason.REFUSED),
        ((500, 503, 504, 524), Next.RETRY, Reason.SERVER_FAILED),
    )
    for status in statuses
    for row in (
        (answer(status), (Charge.AMOUNT,), Hold.SETTLE, next_, reason),
        (answer(status), (Charge.UNREADABLE,), Hold.DISPUTE, next_, reason),
    )
]
UNKNOWN: list[Row] = [
    row
    for error in (errors.Unanswered(), errors.BodyLost())
    for row in (
        (error, (Charge.ABSENT, Charge.UNREADABLE), Hold.DISPUTE, Next.REVIEW, Reason.UNANSWERED),
        (error, (Charge.ZERO, Charge.AMOUNT), Hold.SETTLE, Next.FAIL, Reason.RESULT_LOST),
    )
] + [
    row
    for status in (504, 524)
    for row in (
        (answer(status), (Charge.ABSENT,), Hold.DISPUTE, Next.REVIEW, Reason.UNANSWERED),
        (answer(status), (Charge.ZERO,), Hold.SETTLE, Next.FAIL, Reason.RESULT_LOST),
    )
]
ROWS = [
    (error, charge, Decision(hold, next_, reason))
    for error, charges, hold, next_, reason in WAITS + ENDS + CHARGED_ALL_THE_SAME + UNKNOWN
    for charge in charges
]


@pytest.mark.parametrize(("error", "charge", "decision"), ROWS, ids=str)
def test_a_paid_call(error: Exception, charge: Charge, decision: Decision) -> None:
    assert decide(error, charge) == decision


@pytest.mark.parametrize(("error", "charge", "decision"), ROWS, ids=str)
def test_a_test_costs_nothing_unless_the_answer_says_so(
    error: Exception, charge: Charge, decision: Decision
) -> None:
    repeats = Decision(Hold.RELEASE, Next.RETRY, Reason.REPEATED)
    is_lost = decision.is_unanswered and not charge.is_charged
    assert decide(error, charge, test=True) == (repeats if is_lost else decision)


@pytest.mark.parametrize(("error", "charge", "decision"), ROWS, ids=str)
def test_the_embedded_engines_lost_calls_are_repeated(
    error: Exception, charge: Charge, decision: Decision
) -> None:
    repeats = Decision(Hold.RELEASE, Next.RETRY, Reason.REPEATED)
    assert decide(error, charge, billed=False) == (repeats if decision.is_unanswered else decision)


@pytest.mark.parametrize(
    ("charge", "test", "hold"),
    [
        (Charge.AMOUNT, False, Hold.SETTLE),
        (Charge.ZERO, False, Hold.SETTLE),
        (Charge.ABSENT, False, Hold.DISPUTE),
        (Charge.UNREADABLE, False, Hold.DISPUTE),
        (Charge.ZERO, True, Hold.SETTLE),
        (Charge.ABSENT, True, Hold.RELEASE),
        (Charge.UNREADABLE, True, Hold.DISPUTE),
    ],
)
def test_the_hold_of_a_result(charge: Charge, test: bool, hold: Hold) -> None:
    assert hold_for(charge, test=test) is hold


@pytest.mark.parametrize("charge", Charge)
def test_a_result_that_is_no_picture(charge: Charge) -> None:
    ends = (Hold.SETTLE, Next.FAIL) if charge.is_known else (Hold.DISPUTE, Next.REVIEW)
    assert decide_invalid(charge) == Decision(*ends, Reason.NOT_A_PICTURE)


@pytest.mark.parametrize(
    ("header", "microcredits", "charge"),
    [
        (None, None, Charge.ABSENT),
        ("", None, Charge.ABSENT),
        ("many", None, Charge.UNREADABLE),
        ("0.000000", 0, Charge.ZERO),
        ("0.5", 500_000, Charge.AMOUNT),
    ],
)
def test_what_a_header_says(header: str | None, microcredits: int | None, charge: Charge) -> None:
    assert Charge.of(header, microcredits) is charge


def test_what_is_no_error_of_a_call_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        decide(ZeroDivisionError(), Charge.ABSENT)


def test_a_program_gets_a_response_to_each() -> None:
    """Where a worker would wait, and where nothing could be sent."""
    reasons = {row[4] for row in WAITS + ENDS} - {Reason.SLOW_DOWN, Reason.RESULT_WAITS}
    assert reasons - {Reason.REFUSED, Reason.SERVER_FAILED} == set(direct.RESPONSES)
    assert all(isinstance(error, FAILURES) for error, *_ in ROWS)
