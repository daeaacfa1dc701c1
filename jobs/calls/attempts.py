"""The life of an attempt, and its hold's with it: every change of an Attempt's state is here.

Each function states the state that it expects and raises WrongStateError, so that a step can't be taken
twice. All but ``prepare`` run inside ``queue.owned``.
"""

from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.models import User
from jobs.calls import pricing
from jobs.models import Attempt, Job, Price
from pixian.client.client import Answer
from pixian.protocol.credits import (
    MAX_MICROCREDITS,
    TooManyCreditsError,
    UnreadableCreditsError,
    parse_credits,
)
from pixian.protocol.errors import ApiError

log = structlog.get_logger(__name__)

State = Attempt.State
Doubt = Attempt.Doubt
CHARGE_HEADER = "X-Credits-Charged"
MAX_HEADER_TEXT = 200
MAX_MESSAGE = 400


class WrongStateError(Exception):
    """The attempt isn't where this step starts."""


def estimate(pixels: int) -> int:
    """Micro-credits that a call for so many pixels is expected to cost at most, by what the upstream has
    charged so far and never below the floor of the settings."""
    seen = Price.objects.of(*_account()).highest(pricing.lowest_band(pixels))
    return pricing.ceiling(pixels, max(_floor(), seen))


def prepare_first(job: Job, actor: User) -> Attempt:
    """The first call of a job that was just made, as estimated; raises what ``ledger.hold`` raises."""
    return _prepare(job, actor, 1, job.estimated_microcredits)


def prepare(job: Job, actor: User) -> Attempt:
    """The next call of a job with its own hold; raises what ``ledger.hold`` raises."""
    ceiling = max(job.estimated_microcredits, estimate(job.priced_pixels))
    return _prepare(job, actor, job.attempts.count() + 1, ceiling)


@transaction.atomic
def _prepare(job: Job, actor: User, number: int, ceiling: int) -> Attempt:
    hold = ledger.hold(
        job.team,
        ceiling,
        key=f"hold:job:{job.pk}:{number}",
        reference=f"job:{job.pk}:{number}",
        actor=actor,
        api_key=job.api_key,
    )
    return Attempt.objects.create(job=job, number=number, hold=hold)


def prepare_test(job: Job) -> Attempt:
    """The one call of a test, for which nothing is held or booked."""
    return Attempt.objects.create(job=job, number=1, test=True)


def send(attempt: Attempt) -> None:
    """The call may leave the house from here on. What a 429 answered before says nothing about it."""
    _move(
        attempt,
        State.PREPARED,
        State.SENT,
        sent_at=timezone.now(),
        sends=attempt.sends + 1,
        answered_at=None,
        status=None,
        headers=[],
        charged_header=None,
        charged_microcredits=None,
        doubt="",
    )


def is_sent(attempt: Attempt) -> bool:
    """Whether the database has it as sent. If not, ``send`` can be taken again."""
    attempt.refresh_from_db(fields=["state", "sends"])
    return attempt.state == State.SENT


def answer(attempt: Attempt, came: Answer) -> None:
    """The status line and headers, verbatim, before the body is read."""
    _move(attempt, State.SENT, State.ANSWERED, **_evidence(attempt, came), **_told(None))


def note_late_answer(attempt: Attempt, came: Answer) -> None:
    """Keep the answer of a call that was given up meanwhile; nothing is booked for it. Runs inside
    ``queue.locked``: whoever ends the attempt has done so, or will see this.

    An answer to another send, or one that is recorded already, stays as it is.
    """
    row = Attempt.objects.select_related("hold").get(pk=attempt.pk)
    if row.state == State.PREPARED or row.sends != attempt.sends or row.status is not None:
        return
    evidence = _evidence(row, came)
    if row.state == State.SENT:  # its next worker hasn't looked yet, and goes on from here
        _move(row, State.SENT, State.ANSWERED, **evidence)
        return
    evidence["doubt"] = evidence["doubt"] or Doubt.LATE
    Attempt.objects.filter(pk=row.pk).update(**evidence)
    log.error(
        "an answer came after its call had been given up; it is kept, and nothing was booked",
        attempt=str(row),
        status=came.status,
        charged=evidence["charged_header"],
    )


def is_answered(attempt: Attempt) -> bool:
    """Whether the database has the answer."""
    return Attempt.objects.filter(pk=attempt.pk, state=State.ANSWERED).exists()


def has_ended(attempt: Attempt) -> bool:
    """Whether somebody has ended it meanwhile, or put it in doubt: nobody goes on with its answer."""
    under_way = (State.PREPARED, State.SENT, State.ANSWERED)
    return not Attempt.objects.filter(pk=attempt.pk, state__in=under_way).exists()


def unsend(attempt: Attempt, error: ApiError | None = None) -> None:
    """The upstream didn't process it (429, or no connection): the same attempt may go again."""
    _move(attempt, attempt.state, State.PREPARED, sent_at=None, **_told(error))


def book(attempt: Attempt, error: ApiError | None = None) -> None:
    """Settle the hold by what was charged, whatever the answer was."""
    if attempt.charged_microcredits is None:
        raise WrongStateError(f"{attempt} names no charge")
    _move(attempt, State.ANSWERED, State.BOOKED, ended_at=timezone.now(), **_told(error))
    if attempt.hold:
        ledger.settle(attempt.hold, attempt.charged_microcredits)
        _learn(attempt.job, attempt.charged_microcredits, attempt.hold.amount_microcredits)


def release(attempt: Attempt, error: ApiError | None = None, memo: str = "") -> None:
    """Nothing was charged: the hold goes back."""
    _move(attempt, attempt.state, State.RELEASED, ended_at=timezone.now(), **_told(error))
    if attempt.hold:
        ledger.release(attempt.hold, memo=memo)


def mark_in_doubt(attempt: Attempt, error: ApiError | None = None) -> None:
    """Nobody here knows what was charged: the hold stays."""
    # Not by ``attempt.state``, which has moved on already where this step's commit failed and it is repeated.
    before = State.SENT if attempt.status is None else State.ANSWERED
    why = attempt.doubt or (Doubt.UNANSWERED if attempt.status is None else Doubt.NO_CHARGE)
    _move(attempt, before, State.IN_DOUBT, doubt=why, **_told(error))
    if why == Doubt.IMPLAUSIBLE:
        log.error(
            "a charge can't be right; nothing is booked until a person has looked",
            attempt=str(attempt),
            charged=attempt.charged_header,
            held=attempt.hold.amount_microcredits if attempt.hold else 0,
        )


def note_failure(attempt: Attempt, why: str) -> int:
    """Count that an ending couldn't be booked; returns how often. The caller's attempt is as the database has
    it again: the failed step had moved it on."""
    Attempt.objects.filter(pk=attempt.pk).update(
        booking_failures=F("booking_failures") + 1, booking_error=why[:MAX_MESSAGE]
    )
    attempt.refresh_from_db()
    return attempt.booking_failures


def give_up(attempt: Attempt) -> None:
    """It can't be booked, and a person decides: the hold and all that is known of the answer stay."""
    _move(attempt, attempt.state, State.IN_DOUBT, doubt=Doubt.UNBOOKED)


def resolve(attempt: Attempt, charged: int, actor: User, why: str) -> None:
    """Somebody found out what an attempt in doubt was charged, in micro-credits; 0 for nothing."""
    if not Attempt.objects.filter(pk=attempt.pk, status=attempt.status).exists():
        raise WrongStateError(f"{attempt} was answered after all, which whoever decided hasn't seen")
    now = timezone.now()
    review = {"reviewed_by": actor, "reviewed_at": now, "review_note": why, "resolved_microcredits": charged}
    ended = State.BOOKED if charged else State.RELEASED
    _move(attempt, State.IN_DOUBT, ended, ended_at=now, **review)
    if attempt.hold:
        ledger.settle(attempt.hold, charged, actor=actor, memo=why)


def _move(attempt: Attempt, expected: str, state: str, **changes: Any) -> None:
    here = Attempt.objects.filter(pk=attempt.pk, state=expected)
    if expected not in _LEADS_TO[state] or not here.update(state=state, **changes):
        raise WrongStateError(f"{attempt} can't become {state}")
    for name, value in {"state": state, **changes}.items():
        setattr(attempt, name, value)


_LEADS_TO: dict[str, tuple[str, ...]] = {
    State.PREPARED: (State.PREPARED, State.SENT, State.ANSWERED),
    State.SENT: (State.PREPARED,),
    State.ANSWERED: (State.SENT,),
    State.BOOKED: (State.ANSWERED, State.IN_DOUBT),
    State.RELEASED: (State.PREPARED, State.SENT, State.ANSWERED, State.IN_DOUBT),
    State.IN_DOUBT: (State.PREPARED, State.SENT, State.ANSWERED),
}


def _account() -> tuple[str, str]:
    """The account that pays, by which prices are learned: another one may have other prices."""
    return settings.PIXIAN_API_URL, settings.PIXIAN_API_ID


def _floor() -> int:
    """Micro-credits that are held for a megapixel at least."""
    floor: int = settings.HOLD_MICROCREDITS_PER_MEGAPIXEL
    return floor


def _learn(job: Job, charged: int, held: int) -> None:
    pixels = job.width * job.height
    rate = pricing.rate(pricing.taught(charged, held), pixels)
    # Cut to what the column holds: a single pixel's charge is a million times as much per megapixel.
    Price.objects.learn(*_account(), pricing.band(pixels), min(rate, MAX_MICROCREDITS), _floor())


def _evidence(attempt: Attempt, came: Answer) -> dict[str, Any]:
    """What an answer's head says, as columns; the charge's text verbatim."""
    header = came.header(CHARGE_HEADER)
    charged, mark_in_doubt = _charge(attempt, header)
    return {
        "answered_at": timezone.now(),
        "status": came.status,
        "headers": came.headers,
        "charged_header": header if header is None else header[:MAX_HEADER_TEXT],
        "charged_microcredits": charged,
        "doubt": mark_in_doubt,
    }


def _charge(attempt: Attempt, header: str | None) -> tuple[int | None, str]:
    """The charge that a header names, and a doubt if there is one. A charge that isn't believed is None, as
    one that can't be read: nothing that books, learns or compares may take it for an amount."""
    try:
        charged = None if header is None else parse_credits(header)
    except TooManyCreditsError:
        return None, Doubt.IMPLAUSIBLE
    except UnreadableCreditsError:
        return None, ""
    held = attempt.hold.amount_microcredits if attempt.hold else 0
    if charged is not None and charged > pricing.most_believed(held, settings.CHARGE_ALARM_FACTOR):
        return None, Doubt.IMPLAUSIBLE
    return charged, ""


def _told(error: ApiError | None) -> dict[str, Any]:
    if error is None:
        return {"error_code": None, "error_message": ""}
    return {"error_code": error.code, "error_message": error.message[:MAX_MESSAGE]}
