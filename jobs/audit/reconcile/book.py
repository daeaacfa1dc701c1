"""Keep an account's periods as rows, so that a page shows them however many calls there are.

A row is written with its closing balance, and computed right after that, outside the transaction. Until no
call in it can change by itself any more it is computed again when it is looked at, or when the next balance
comes. What changes it later (a decision, a late answer, a purchase for an earlier day) says so in its own
transaction (``BalancePeriod.objects.outdate``). ``manage.py verify`` computes all of them anew.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobs.audit.reconcile.account import balances, between
from jobs.audit.reconcile.activity import Happening
from jobs.audit.reconcile.calls import Call
from jobs.audit.reconcile.periods import Figures, Period
from jobs.models import BalancePeriod, BalanceSnapshot, UpstreamAccount

SETTLING = timedelta(minutes=1)
"""A call whose sending was being committed just when the balance came shows up within this time."""

AT_ONCE = 60
"""Rows that one request or one run computes; after an upgrade there may be years of them."""

MAX_CALLS = 20_000
"""Of a period that a page computes while a person waits for it."""

MAX_SPAN = 500
"""Balances in a row among which a quiet one is looked for."""

MAX_NOTABLE = 100
"""Calls of each kind that a row names."""

VERIFIED = ("calls", "charged", "booked", "purchased", "in_doubt", "held_in_doubt", "failed")
"""The columns that depend on nothing but rows; which calls were under way depends on PIXIAN_TIMEOUT too."""


def close(
    account_id: int, asked_at: datetime, came_at: datetime, microcredits: int, answer: dict[str, Any]
) -> BalanceSnapshot:
    """Store a balance, and let it end the period that the one before it began."""
    with transaction.atomic():
        # One balance at a time, so that they follow each other in the order of their keys. No-key locks,
        # because a call that is being sent holds a share of its account's row.
        list(UpstreamAccount.objects.select_for_update(no_key=True).order_by("pk"))
        last = _last_in_chain(account_id)
        snapshot = BalanceSnapshot.objects.create(
            account_id=account_id,
            asked_at=asked_at,
            came_at=came_at,
            microcredits=microcredits,
            answer=answer,
        )
        if last and last.came_at <= asked_at:
            BalancePeriod.objects.create(account_id=account_id, opening=last, closing=snapshot)
    return snapshot


def _last_in_chain(account_id: int) -> BalanceSnapshot | None:
    """Return the balance that the next one is compared with; see ``jobs.audit.reconcile.periods``."""
    period = BalancePeriod.objects.of_account(account_id).order_by("-closing").first()
    since = BalanceSnapshot.objects.filter(pk__gt=period.closing_id if period else 0)
    other = since.exclude(account=account_id).order_by("-pk").first()
    if period and not other:
        return period.closing
    own = since.filter(account=account_id, pk__gt=other.pk if other else 0)
    return own.order_by("pk").first()


def refresh(account_id: int) -> None:
    """Compute the account's newest rows again that may have changed."""
    rows = BalancePeriod.objects.of_account(account_id).filter(is_final=False).order_by("-closing")
    for row in rows.select_related("opening", "closing")[:AT_ONCE]:
        compute(row)


def refresh_cheap(rows: Iterable[BalancePeriod]) -> int:
    """Compute those of these rows again that may have changed, in place; return how many were left out.

    For a page: periods of many calls are left to the next balance.
    """
    waiting = [row for row in rows if not row.is_final]
    cheap = [row for row in waiting if row.calls <= MAX_CALLS][:AT_ONCE]
    for row in cheap:
        compute(row)
    return len(waiting) - len(cheap)


def compute(row: BalancePeriod) -> None:
    """Compute a row from its calls, unless something in it changes just now: then the next look does."""
    now = timezone.now()
    period = between(row.opening, row.closing)
    settled = now - row.closing.came_at > SETTLING
    values = columns(period) | {"is_final": settled and not period.is_under_way, "computed_at": now}
    # ``changes`` was read before the calls. If it has grown, they may have been read too early.
    if BalancePeriod.objects.filter(pk=row.pk, changes=row.changes).update(**values):
        for name, value in values.items():
            setattr(row, name, value)


def columns(period: Period) -> dict[str, Any]:
    """Return a row's columns."""
    activity, figures = period.activity, period.figures
    return {
        "calls": activity.calls,
        "charged": activity.charged,
        "booked": activity.booked,
        "purchased": activity.purchased,
        "in_doubt": figures.in_doubt,
        "held_in_doubt": figures.held_in_doubt,
        "failed": figures.failed,
        "flying_in": len(period.flying_in),
        "flying_in_credits": figures.may_raise,
        "flying_out": len(period.flying_out),
        "flying_out_credits": figures.may_lower,
        "notable": {kind: pks for kind, events in _notable(period) if (pks := _keys(events))},
    }


def _notable(period: Period) -> Iterator[tuple[str, Iterable[Happening]]]:
    activity = period.activity
    yield from (("doubts", activity.doubts), ("stated", activity.stated), ("failed", activity.failed))
    yield from (("decided", activity.decided), ("flying_in", period.flying_in))
    yield "flying_out", period.flying_out


def _keys(events: Iterable[Happening]) -> list[int]:
    return [event.pk for event in events if isinstance(event, Call)][:MAX_NOTABLE]


def figures(row: BalancePeriod) -> Figures:
    """Return what a row is judged by."""
    return Figures(
        missing=row.missing,
        in_doubt=row.in_doubt,
        held_in_doubt=row.held_in_doubt,
        failed=row.failed,
        flying=row.flying_in + row.flying_out,
        may_raise=row.flying_in_credits,
        may_lower=row.flying_out_credits,
    )


def span(row: BalancePeriod) -> list[BalancePeriod]:
    """Return the rows from one quiet balance to the next that contain this row; none if there are none."""
    rows = BalancePeriod.objects.of_account(row.account_id).select_related("opening", "closing")
    earlier = rows.filter(closing__lt=row.closing_id).order_by("-closing")
    later = rows.filter(closing__gt=row.closing_id).order_by("closing")
    before = _until_quiet(row, earlier, "flying_in", "opening_id", "closing_id")
    after = _until_quiet(row, later, "flying_out", "closing_id", "opening_id")
    return [] if before is None or after is None else [*before[::-1], row, *after]


def _until_quiet(
    row: BalancePeriod, others: QuerySet[BalancePeriod], flying: str, ours: str, theirs: str
) -> list[BalancePeriod] | None:
    """Return the rows that adjoin this one, up to a quiet balance; None if the chain has none."""
    if not getattr(row, flying):
        return []
    found = [row]
    for other in others[:MAX_SPAN]:
        if getattr(found[-1], ours) != getattr(other, theirs):
            return None
        found.append(other)
        if not getattr(other, flying):
            return found[1:]
    return None


def find_differences() -> Iterator[str]:
    """Compute all rows that are final from all attempts, and name those that say something else."""
    for account in UpstreamAccount.objects.filter(pk__in=BalancePeriod.objects.values("account")).order_by(
        "pk"
    ):
        steps = {(step.opening.pk, step.closing.pk): step for step in balances(account=account).steps}
        rows = BalancePeriod.objects.of_account(account.pk).filter(is_final=True).order_by("closing")
        for row in rows.select_related("opening", "closing").iterator():
            step = steps.get((row.opening_id, row.closing_id))
            if step is None:
                yield f"Period {row.pk} of {account} lies between balances that don't follow each other."
                continue
            values = columns(step)
            for name in VERIFIED:
                if getattr(row, name) != values[name]:
                    has, should = getattr(row, name), values[name]
                    yield (
                        f"Period {row.pk} of {account}, {step.title}, has {has} as "
                        f"{name.replace('_', ' ')}, and its calls say {should}."
                    )
