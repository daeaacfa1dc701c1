"""Read from the account's balances what several calls in doubt were charged together."""

from jobs.audit.reconcile import book
from jobs.audit.reconcile.account import between
from jobs.audit.reconcile.periods import Period
from jobs.models import Attempt, BalancePeriod

MAX_PERIODS = 24
"""Among which the calls may lie; a page computes them while a person waits."""


def charges(likely: dict[Attempt, int]) -> dict[Attempt, int] | None:
    """Return the charge of each of these calls in doubt as the balances say it, or None if they don't.

    likely: what each was probably charged, in micro-credits. If exactly the sum of these is missing between
    two quiet balances, and no other call there can have cost it, then they were charged that.
    """
    left, found = dict(likely), dict[Attempt, int]()
    for _period in range(MAX_PERIODS):
        if not left:
            return found
        period = _around(next(iter(left)))
        said = period and _charges(period, {attempt.pk: amount for attempt, amount in left.items()})
        own = {attempt: said[attempt.pk] for attempt in left if attempt.pk in said} if said else {}
        if not own:
            return None
        found |= own
        left = {attempt: amount for attempt, amount in left.items() if attempt not in own}
    return None


def _around(attempt: Attempt) -> Period | None:
    """Return the time between the quiet balances before and after the call."""
    if attempt.account_id is None:
        return None
    rows = BalancePeriod.objects.of_account(attempt.account_id).filter(
        opening__came_at__lt=attempt.sent_at, closing__came_at__gte=attempt.sent_at
    )
    row = rows.select_related("opening", "closing").order_by("closing").first()
    span = book.span(row) if row else []
    if not span or sum(each.calls for each in span) > book.MAX_CALLS:
        return None
    period = between(span[0].opening, span[-1].closing)
    return None if period.flying_in or period.flying_out or period.is_under_way else period


def _charges(period: Period, likely: dict[int, int]) -> dict[int, int]:
    """Return the charges of the calls of this period by their keys; empty if they aren't certain."""
    if decided := {call.pk: charged for call, charged in period.decisions}:
        return decided
    activity = period.activity
    doubts = {call.pk for call in activity.doubts}
    if activity.failed or not doubts or not doubts <= likely.keys():
        return {}
    if period.missing != sum(likely[pk] for pk in doubts):
        return {}
    return {pk: likely[pk] for pk in doubts} | {call.pk: call.known or 0 for call in activity.stated}
