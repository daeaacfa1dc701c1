"""Bound what a member or an API key may spend in a period.

A hold is counted in the transaction that makes it. ``accounts.ledger.operations`` calls ``count_hold``
and ``count_ending`` behind the transfers that they count, while it has the team's accounts locked, so a
team's holds are counted one after the other. A key spends on behalf of its owner, and counts against the
allowances of both.

A period's use consists of the holds made in that period, no matter when they end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.ledger import periods, posting
from accounts.ledger.posting import LedgerError
from accounts.models import Allowance, AllowanceUse, ApiKey, Membership, Team, Transfer, User

Kind = Transfer.Kind
FULL = 100

# In plain SQL, because every hold of a person asks for them while the team's other postings wait.
BOUNDING = """
SELECT allowance.id, current.id FROM accounts_allowance allowance
LEFT JOIN accounts_membership member ON member.id = allowance.member_id
LEFT JOIN accounts_allowanceuse current
    ON current.allowance_id = allowance.id AND current.starts_at <= %s AND current.renews_at > %s
WHERE allowance.team_id = %s AND (member.user_id = %s OR allowance.api_key_id = %s) ORDER BY allowance.id
"""
COUNT = "UPDATE accounts_allowanceuse SET used_microcredits = used_microcredits + %s WHERE id IN ({uses})"
WITHIN_LIMIT = """
used_microcredits + %s <= raised_microcredits
    + (SELECT limit_microcredits FROM accounts_allowance WHERE id = allowance_id)
"""
NOT_NEGATIVE = "used_microcredits + %s >= 0"


class AllowanceUsedUpError(LedgerError):
    """A member's or a key's allowance doesn't reach. Nothing was written."""

    def __init__(self, use: AllowanceUse, asked: int) -> None:
        super().__init__(f"{asked} micro-credits asked, {use.used_microcredits} of {use.allowance} used")
        self.allowance = use.allowance
        self.limit_microcredits = use.allowance.limit_microcredits + use.raised_microcredits
        self.used_microcredits = use.used_microcredits
        self.asked_microcredits = asked
        self.renews_at = use.renews_at


@dataclass(frozen=True)
class Standing:
    """An allowance and its use in the present period, in micro-credits. raised: granted for this period."""

    allowance: Allowance
    used: int
    renews_at: datetime
    raised: int = 0

    @property
    def limit(self) -> int:
        return self.allowance.limit_microcredits + self.raised

    @property
    def left(self) -> int:
        """Return what may still be spent; 0 if overages went beyond the limit."""
        return max(0, self.limit - self.used)

    @property
    def percent(self) -> int:
        """Return the used part of the limit in percent, 100 at most."""
        return min(FULL, self.used * FULL // self.limit) if self.limit else FULL

    @property
    def warns(self) -> bool:
        """Return True if the user should be warned that little is left."""
        return self.used * FULL >= self.limit * self.allowance.warn_percent


def current_standing(allowance: Allowance) -> Standing:
    """Return the present standing of one allowance."""
    return _standings([allowance])[0]


def spender_standings(team: Team, user: User, api_key: ApiKey | None = None) -> list[Standing]:
    """Return the standings of all allowances that bound the spender, the tightest first."""
    theirs = Q(member__user=user) | (Q(api_key=api_key) if api_key else Q())
    return sorted(_standings(team.allowances.filter(theirs).order_by("pk")), key=lambda each: each.left)


def most_at_once(team_id: int, user_id: int) -> int | None:
    """Return what the person's whole allowance permits in the present period; None without any."""
    theirs = Allowance.objects.filter(team=team_id, member__user=user_id)
    return min((standing.limit for standing in _standings(theirs)), default=None)


def member_standings(team: Team) -> dict[int, Standing]:
    """Return the standings of the members' allowances, by membership id."""
    standings = _standings(team.allowances.filter(member__isnull=False))
    return {each.allowance.member_id or 0: each for each in standings}


def standings_of(members: Iterable[Membership]) -> dict[int, Standing]:
    """Return the standings of these members' allowances, by membership id."""
    standings = _standings(Allowance.objects.filter(member__in=[member.pk for member in members]))
    return {each.allowance.member_id or 0: each for each in standings}


def visible_standings(team: Team, user: User, *, all_of_team: bool) -> list[Standing]:
    """Return the standings of the user and their keys, or of all of the team's, the most used first."""
    whose = Q() if all_of_team else Q(member__user=user) | Q(api_key__owner=user)
    bounds = team.allowances.filter(whose).select_related("member__user", "api_key").order_by("pk")
    return sorted(_standings(bounds), key=lambda each: -each.percent)


def grant(spender: Membership | ApiKey, *, limit: int, period: str, warn_percent: int = 80) -> Allowance:
    """Set or change an allowance, in micro-credits. What was spent in the present period counts.

    What it was raised by stays as long as the period does.
    """
    with posting.locked(spender.team_id):
        allowance, _ = Allowance.objects.update_or_create(
            **_named(spender),
            defaults={
                "team_id": spender.team_id,
                "limit_microcredits": limit,
                "period": period,
                "warn_percent": warn_percent,
            },
        )
        now = timezone.now()
        starts_at, renews_at = periods.around(period, now)
        raised = allowance.uses.filter(starts_at=starts_at, renews_at=renews_at)
        kept = raised.values_list("raised_microcredits", flat=True).first() or 0
        # The period may have changed, and then the old uses count by the wrong dates.
        allowance.uses.all().delete()
        _open(allowance, now, raised=kept)
    return allowance


def extend(allowance: Allowance, amount: int) -> Standing:
    """Let more be spent until the allowance renews, in micro-credits. The team's accounts must be locked."""
    now = timezone.now()
    use = allowance.uses.filter(starts_at__lte=now, renews_at__gt=now).first() or _open(allowance, now)
    use.raised_microcredits += amount
    use.save(update_fields=["raised_microcredits"])
    return _standing(allowance, use)


def lift(spender: Membership | ApiKey) -> None:
    """Delete the spender's allowance, so that only the team's pool bounds them."""
    with posting.locked(spender.team_id):
        Allowance.objects.filter(**_named(spender)).delete()


def count_hold(team_id: int, held: Transfer) -> None:
    """Count a new hold, or raise AllowanceUsedUpError: if several refuse, for the one that renews last."""
    amount, now = held.amount_microcredits, held.created_at
    bounding = _bounding(team_id, held.actor_id, held.api_key_id, now)
    uses = [
        use_id or _open(Allowance.objects.get(pk=pk), now, uncounted=amount).pk for pk, use_id in bounding
    ]
    if refusing := _count(uses, amount, if_=WITHIN_LIMIT):
        raise max((AllowanceUsedUpError(use, amount) for use in refusing), key=lambda error: error.renews_at)


def count_ending(held: Transfer, team_id: int, booked: int) -> None:
    """Count what was booked in place of a hold that ends, in the period in which the hold was made.

    A use is only a roll-up: one that was miscounted is recomputed, so that no booking fails because of it.
    """
    if change := booked - held.amount_microcredits:
        bounding = _bounding(team_id, held.actor_id, held.api_key_id, held.created_at)
        for use in _count([use_id for _, use_id in bounding if use_id], change, if_=NOT_NEGATIVE):
            recomputed = recompute_use(use.allowance, use.starts_at, use.renews_at)
            AllowanceUse.objects.filter(pk=use.pk).update(used_microcredits=recomputed)


def recompute_use(allowance: Allowance, starts_at: datetime, renews_at: datetime) -> int:
    """Recompute the use of a period from the ledger."""
    made = Q(team=allowance.team_id, created_at__gte=starts_at, created_at__lt=renews_at)
    holds = Transfer.objects.filter(made & _theirs(allowance), kind=Kind.HOLD)
    still_open = holds.exclude(resolutions__isnull=False)
    booked = Transfer.objects.filter(hold__in=holds, kind__in=Transfer.BOOKINGS)
    return _sum(still_open) + _sum(booked)


def find_differences() -> Iterator[tuple[AllowanceUse, int]]:
    """Yield each use that differs from the ledger, with the amount that the ledger says."""
    for use in AllowanceUse.objects.select_related("allowance__member").order_by("pk"):
        should = recompute_use(use.allowance, use.starts_at, use.renews_at)
        if use.used_microcredits != should:
            yield use, should


def _bounding(
    team_id: int, user_id: int | None, api_key_id: int | None, at: datetime
) -> list[tuple[int, int | None]]:
    """Return the ids of the allowances that bound a spender, each with its use at this time, or None."""
    if user_id is None and api_key_id is None:
        return []
    moment = connection.ops.adapt_datetimefield_value(at)
    with connection.cursor() as cursor:
        cursor.execute(BOUNDING, [moment, moment, team_id, user_id, api_key_id])
        return list(cursor.fetchall())


def _count(uses: list[int], amount: int, *, if_: str) -> list[AllowanceUse]:
    """Add the amount to each use that meets the condition, and return those that don't."""
    if not uses:
        return []
    statement = COUNT.format(uses=", ".join(["%s"] * len(uses)))
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} AND {if_} RETURNING id", [amount, *uses, amount])
        counted = {pk for (pk,) in cursor.fetchall()}
    if len(counted) == len(uses):
        return []
    others = AllowanceUse.objects.filter(pk__in=set(uses) - counted)
    return list(others.select_related("allowance__member", "allowance__api_key"))


def _standings(allowances: Iterable[Allowance]) -> list[Standing]:
    """Return the present standing of each allowance; ask for all uses at once."""
    now, bounds = timezone.now(), list(allowances)
    current = AllowanceUse.objects.filter(allowance__in=bounds, starts_at__lte=now, renews_at__gt=now)
    uses = {use.allowance_id: use for use in current}
    return [
        _standing(allowance, use)
        if (use := uses.get(allowance.pk))
        else Standing(allowance, 0, periods.around(allowance.period, now)[1])
        for allowance in bounds
    ]


def _standing(allowance: Allowance, use: AllowanceUse) -> Standing:
    return Standing(allowance, use.used_microcredits, use.renews_at, use.raised_microcredits)


def _named(spender: Membership | ApiKey) -> dict[str, Any]:
    return {"member" if isinstance(spender, Membership) else "api_key": spender}


def _theirs(allowance: Allowance) -> Q:
    return (
        Q(api_key=allowance.api_key_id) if allowance.member is None else Q(spender=allowance.member.user_id)
    )


def _open(allowance: Allowance, now: datetime, *, uncounted: int = 0, raised: int = 0) -> AllowanceUse:
    """Begin a period. If the allowance is new, holds may have been made in the period before.

    uncounted: of a hold that is written by now, and will be counted next.
    """
    starts_at, renews_at = periods.around(allowance.period, now)
    return AllowanceUse.objects.create(
        allowance=allowance,
        starts_at=starts_at,
        renews_at=renews_at,
        used_microcredits=recompute_use(allowance, starts_at, renews_at) - uncounted,
        raised_microcredits=raised,
    )


def _sum(transfers: QuerySet[Transfer]) -> int:
    total: int = transfers.aggregate(sum=Coalesce(Sum("amount_microcredits"), 0))["sum"]
    return total
