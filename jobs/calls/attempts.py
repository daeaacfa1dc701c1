"""Move an attempt, and its hold with it, from one state to the next.

Each function names the state that it expects and raises WrongStateError otherwise, so that a step can't be
taken twice. ``send`` and ``answer`` also raise LostLeaseError if the attempt's job isn't this claim's any
more; all others but ``prepare`` run inside ``claims.owned`` or behind ``claims.finish``.
"""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.models import Transfer, User
from jobs import plain_sql, usage_days
from jobs.calls import accounts, evidence, prices, pricing
from jobs.events import outbox
from jobs.models import Attempt, BalancePeriod, Job
from jobs.queue import claims
from pixian.client.client import Answer
from pixian.protocol.credits import MAX_MICROCREDITS
from pixian.protocol.errors import ApiError
from pixian.protocol.limits import processed_pixels

log = structlog.get_logger(__name__)

State = Attempt.State
Doubt = Attempt.Doubt
MAX_MESSAGE = 400
RECENT_CALLS = 200


class WrongStateError(Exception):
    """The attempt isn't in the state that this step expects."""


def estimate(pixels: int) -> int:
    """Return the micro-credits that a call for this many pixels is expected to cost at most.

    By what the upstream has charged so far, and never below the floor of the settings.
    """
    return _ceiling(pixels, prices.kept(accounts.named()))


def estimates(pictures: Iterable[int]) -> list[int]:
    """Return what ``estimate`` returns for each of these numbers of pixels."""
    by_band = prices.kept(accounts.named())
    return [_ceiling(pixels, by_band) for pixels in pictures]


def _ceiling(pixels: int, by_band: Mapping[int, int]) -> int:
    lowest = pricing.lowest_band(pixels)
    seen = (price for band, price in by_band.items() if band >= lowest)
    return pricing.ceiling(pixels, max(_floor(), *seen, 0))


def usual_rate() -> int | None:
    """Return the median micro-credits per megapixel of this account's recent calls; None without any."""
    if not prices.kept(accounts.named()):
        return None
    booked = Attempt.objects.filter(state=State.BOOKED, test=False, charged_microcredits__isnull=False)
    # Of whichever account: one that made its calls long ago would be looked for through all later ones.
    recent = booked.order_by("-pk").values_list("account", "charged_microcredits", *Attempt.PRICED_SIZE)
    ours = accounts.current_id()
    rates = [
        pricing.rate(charged or 0, processed_pixels(*size))
        for account, charged, *size in recent[:RECENT_CALLS]
        if account == ours
    ]
    return int(median(rates)) if rates else None


def prepare_first(job: Job, actor: User) -> Attempt:
    """Prepare the first call of a new job, as estimated; raises what ``ledger.hold`` raises."""
    return _prepare(job, actor, 1, job.estimated_microcredits)


def prepare(job: Job, actor: User) -> Attempt:
    """Prepare the next call of a job with its own hold; raises what ``ledger.hold`` raises."""
    # Read anew, since the call before may have taught a price in this transaction.
    by_band = prices.read(accounts.named())
    ceiling = max(job.estimated_microcredits, _ceiling(job.priced_pixels, by_band))
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
    return _new(Attempt(job=job, number=number, hold=hold))


def prepare_test(job: Job) -> Attempt:
    """Prepare the only call of a test, for which nothing is held or booked."""
    return _new(Attempt(job=job, number=1, test=True))


def _new(attempt: Attempt) -> Attempt:
    plain_sql.insert(attempt)
    return attempt


def send(attempt: Attempt) -> None:
    """Mark the attempt as sent, before anything leaves this machine.

    What an earlier 429 answered says nothing about this call, and is forgotten.
    """
    _move(
        attempt,
        State.PREPARED,
        State.SENT,
        sent_at=timezone.now(),
        sends=attempt.sends + 1,
        account_id=accounts.current_id(),
        answered_at=None,
        status=None,
        headers=[],
        charged_header=None,
        charged_microcredits=None,
        doubt="",
    )


def is_sent(attempt: Attempt) -> bool:
    """Tell if the database has the attempt as sent; otherwise ``send`` can be taken again."""
    attempt.refresh_from_db(fields=["state", "sends"])
    return attempt.state == State.SENT


def answer(attempt: Attempt, answer: Answer) -> None:
    """Record the status line and headers, verbatim, before the body is read."""
    _move(attempt, State.SENT, State.ANSWERED, **evidence.columns(attempt, answer), **_error_columns(None))


def is_answered(attempt: Attempt) -> bool:
    """Tell if the database has the answer."""
    return Attempt.objects.filter(pk=attempt.pk, state=State.ANSWERED).exists()


def note_late_answer(attempt: Attempt, answer: Answer) -> None:
    """Keep the answer of a call that was given up meanwhile; nothing is booked for it.

    Runs inside ``claims.locked``: the worker that ends the attempt has done so, or will see this. An answer
    to another send, or one that is recorded already, stays as it is.
    """
    row = Attempt.objects.select_related("hold").get(pk=attempt.pk)
    if row.state == State.PREPARED or row.sends != attempt.sends or row.status is not None:
        return
    columns = evidence.columns(row, answer)
    if row.state == State.SENT:  # its next worker hasn't read it yet, and goes on from here
        Attempt.objects.filter(pk=row.pk).update(state=State.ANSWERED, **columns)
        return
    columns["doubt"] = columns["doubt"] or Doubt.LATE
    Attempt.objects.filter(pk=row.pk).update(**columns)
    BalancePeriod.objects.outdate_for(row)
    if row.reviewed_at:
        outbox.review_needed(row, Doubt.LATE)
    log.error(
        "an answer came after its call had been given up; it is kept, and nothing was booked",
        attempt=str(row),
        status=answer.status,
        charged=columns["charged_header"],
    )


def has_ended(attempt: Attempt) -> bool:
    """Tell if another worker or a person has ended the attempt, or put it in doubt, meanwhile."""
    under_way = (State.PREPARED, State.SENT, State.ANSWERED)
    return not Attempt.objects.filter(pk=attempt.pk, state__in=under_way).exists()


def unsend(attempt: Attempt, error: ApiError | None = None) -> None:
    """Prepare the attempt to go again: the upstream didn't process it (429, or no connection)."""
    _move(attempt, attempt.state, State.PREPARED, sent_at=None, **_error_columns(error))


def book(attempt: Attempt, error: ApiError | None = None) -> None:
    """Settle the hold by what was charged, whatever the answer was."""
    if attempt.charged_microcredits is None:
        raise WrongStateError(f"{attempt} names no charge")
    _move(attempt, State.ANSWERED, State.BOOKED, ended_at=timezone.now(), **_error_columns(error))
    if attempt.hold:
        at = ledger.settle(attempt.hold, attempt.charged_microcredits)
        usage_days.count_call(attempt, attempt.charged_microcredits, at)
        if attempt.charged_microcredits > attempt.hold.amount_microcredits:
            outbox.review_needed(attempt, Transfer.Kind.OVERAGE)
        _learn(attempt.job, attempt.charged_microcredits, attempt.hold.amount_microcredits)


def release(attempt: Attempt, error: ApiError | None = None, memo: str = "") -> None:
    """Give the hold back: nothing was charged."""
    _move(attempt, attempt.state, State.RELEASED, ended_at=timezone.now(), **_error_columns(error))
    if attempt.hold:
        ledger.release(attempt.hold, memo=memo)


def mark_in_doubt(attempt: Attempt, error: ApiError | None = None) -> None:
    """Leave the attempt to a person, since nobody here knows what was charged: the hold stays."""
    expected = State.SENT if attempt.status is None else State.ANSWERED
    doubt = attempt.doubt or (Doubt.UNANSWERED if attempt.status is None else Doubt.NO_CHARGE)
    _move(attempt, expected, State.IN_DOUBT, doubt=doubt, **_error_columns(error))
    outbox.review_needed(attempt, doubt)
    if doubt == Doubt.IMPLAUSIBLE:
        log.error(
            "a charge can't be right; nothing is booked until a person has looked",
            attempt=str(attempt),
            charged=attempt.charged_header,
            held=attempt.hold.amount_microcredits if attempt.hold else 0,
        )


def note_failure(attempt: Attempt, why: str) -> int:
    """Count that an ending couldn't be booked; return how often that has happened."""
    Attempt.objects.filter(pk=attempt.pk).update(
        booking_failures=F("booking_failures") + 1, booking_error=why[:MAX_MESSAGE]
    )
    attempt.refresh_from_db()
    return attempt.booking_failures


def give_up(attempt: Attempt) -> None:
    """Leave an attempt that can't be booked to a person, with its hold and all that its answer said."""
    _move(attempt, attempt.state, State.IN_DOUBT, doubt=Doubt.UNBOOKED)
    outbox.review_needed(attempt, Doubt.UNBOOKED)


def resolve(attempt: Attempt, charged: int, actor: User, why: str) -> None:
    """End an attempt in doubt by the micro-credits that it was charged, as a person found out; 0 for none."""
    if not Attempt.objects.filter(pk=attempt.pk, status=attempt.status).exists():
        raise WrongStateError(f"{attempt} was answered after all, which the person who decided hasn't seen")
    now = timezone.now()
    review = {
        "reviewed_by": actor,
        "reviewed_at": now,
        "review_note": why,
        "resolved_microcredits": charged,
        "put_off_at": None,
    }
    state = State.BOOKED if charged else State.RELEASED
    _move(attempt, State.IN_DOUBT, state, ended_at=now, **review)
    if attempt.hold:
        at = ledger.settle(attempt.hold, charged, actor=actor, memo=why)
        usage_days.count_call(attempt, charged, at)


def _move(attempt: Attempt, expected: str, state: str, **changes: Any) -> None:
    changes |= {"state": state}
    where, params = "id = %s AND state = %s", [attempt.pk, expected]
    # These two have a transaction of their own, and look at the fence in their statement.
    looks_at_fence = state in (State.SENT, State.ANSWERED)
    if looks_at_fence:
        where += f" AND job_id IN ({plain_sql.locking(claims.MINE)})"
        params += [attempt.job.pk, attempt.job.fence]
    if expected not in _EXPECTED[state] or not plain_sql.update(Attempt, changes, where, params):
        if looks_at_fence:
            claims.check_owned(attempt.job)
        raise WrongStateError(f"{attempt} can't become {state}")
    for name, value in changes.items():
        setattr(attempt, name, value)


_EXPECTED: dict[str, tuple[str, ...]] = {
    State.PREPARED: (State.PREPARED, State.SENT, State.ANSWERED),
    State.SENT: (State.PREPARED,),
    State.ANSWERED: (State.SENT,),
    State.BOOKED: (State.ANSWERED, State.IN_DOUBT),
    State.RELEASED: (State.PREPARED, State.SENT, State.ANSWERED, State.IN_DOUBT),
    State.IN_DOUBT: (State.PREPARED, State.SENT, State.ANSWERED),
}


def _floor() -> int:
    """Return the micro-credits that are held for a megapixel at least."""
    floor: int = settings.HOLD_MICROCREDITS_PER_MEGAPIXEL
    return floor


def _learn(job: Job, charged: int, held: int) -> None:
    pixels = job.priced_pixels
    rate = pricing.rate(pricing.taught(charged, held), pixels)
    # Cut to what the column holds: a single pixel's charge is a million times as much per megapixel.
    prices.learn(accounts.named(), pricing.band(pixels), min(rate, MAX_MICROCREDITS), _floor())


def _error_columns(error: ApiError | None) -> dict[str, Any]:
    if error is None:
        return {"error_code": None, "error_message": ""}
    return {"error_code": error.code, "error_message": error.message[:MAX_MESSAGE]}
