"""What a member or a key may spend in a period, counted with the hold in one transaction.

``accounts.ledger.operations`` calls ``take`` and ``correct`` while it has the team's accounts locked, so that
all of a team's counting happens one after the other. A key spends on behalf of its owner, and counts against
both.
A period's use is made of the holds that were made in it, whenever they end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.ledger import periods
from accounts.ledger.posting import LedgerError, locked_accounts
from accounts.models import Allowance, AllowanceUse, ApiKey, Membership, Team, Transfer, User

Kind = Transfer.Kind
BOOKINGS = (Kind.SETTLE, Kind.OVERAGE)
FULL = 100


class AllowanceUsedUpError(LedgerError):
    """A member's or a key's allowance doesn't reach. Nothing was written."""

    def __init__(self, allowance: Allowance, used: int, asked: int, renews_at: datetime) -> None:
        super().__init__(f"{asked} micro-credits asked, {used} of {allowance} used")
        self.allowance = allowance
        self.used_microcredits = used
        self.asked_microcredits = asked
        self.renews_at = renews_at


@dataclass(frozen=True)
class Standing:
    """How an allowance stands in its present period, in micro-credits."""

    allowance: Allowance
    used: int
    renews_at: datetime

    @property
    def limit(self) -> int:
        return self.allowance.limit_microcredits

    @property
    def left(self) -> int:
        """Zero also where overages took it beyond its limit."""
        return max(0, self.limit - self.used)

    @property
    def percent(self) -> int:
        """Used of the limit, 100 at most."""
        return min(FULL, self.used * FULL // self.limit) if self.limit else FULL

    @property
    def warns(self) -> bool:
        """Whether it is time for a soft warning."""
        return self.used * FULL >= self.limit * self.allowance.warn_percent


def standing(allowance: Allowance) -> Standing:
    now = timezone.now()
    return _standing(allowance, _current(allowance, now), now)


def of_spender(team: Team, user: User, api_key: ApiKey | None = None) -> list[Standing]:
    """All that bounds what they may spend besides the team's pool, the tightest first."""
    found = [standing(allowance) for allowance in _bounding(team.pk, user.pk, _pk(api_key))]
    return sorted(found, key=lambda each: each.left)


def of_members(team: Team) -> dict[int, Standing]:
    """How each member's allowance stands, by membership; in two queries, however many they are."""
    now = timezone.now()
    running = AllowanceUse.objects.filter(allowance__team=team, starts_at__lte=now, renews_at__gt=now)
    uses = {use.allowance_id: use for use in running}
    return {
        allowance.member_id or 0: _standing(allowance, uses.get(allowance.pk), now)
        for allowance in Allowance.objects.filter(team=team, member__isnull=False)
    }


@transaction.atomic
def grant(spender: Membership | ApiKey, *, limit: int, period: str, warn_percent: int = 80) -> Allowance:
    """Set an allowance, in micro-credits, or change it. What was spent in the present period counts."""
    locked_accounts(spender.team_id)
    allowance, _ = Allowance.objects.update_or_create(
        **_named(spender),
        defaults={
            "team_id": spender.team_id,
            "limit_microcredits": limit,
            "period": period,
            "warn_percent": warn_percent,
        },
    )
    # What was counted by periods of another length is counted anew.
    allowance.uses.all().delete()
    _open(allowance, timezone.now())
    return allowance


@transaction.atomic
def lift(spender: Membership | ApiKey) -> None:
    """No allowance any more: the team's pool alone is the bound."""
    locked_accounts(spender.team_id)
    Allowance.objects.filter(**_named(spender)).delete()


def take(team_id: int, user: User | None, api_key: ApiKey | None, amount: int, now: datetime) -> None:
    """Count a hold; raises AllowanceUsedUpError, of several the one that renews last."""
    refused = []
    for allowance in _bounding(team_id, _pk(user), _pk(api_key)):
        use = _current(allowance, now) or _open(allowance, now)
        room = allowance.limit_microcredits - amount
        mine = AllowanceUse.objects.filter(pk=use.pk, used_microcredits__lte=room)
        if not mine.update(used_microcredits=F("used_microcredits") + amount):
            refused.append(AllowanceUsedUpError(allowance, use.used_microcredits, amount, use.renews_at))
    if refused:
        raise max(refused, key=lambda error: error.renews_at)


def correct(held: Transfer, booked: int) -> None:
    """Count what was booked in place of a hold that ends, in the period in which the hold was made.

    Called before the ending is written. A use is a roll-up, so one that was miscounted is recomputed rather
    than a booking refused for it.
    """
    change = booked - held.amount_microcredits
    if not change:
        return
    then = AllowanceUse.objects.filter(
        starts_at__lte=held.created_at,
        renews_at__gt=held.created_at,
        allowance__in=_bounding(held.debit.team_id or 0, held.actor_id, held.api_key_id),
    )
    for use in then.select_related("allowance__member").order_by("pk"):
        if use.used_microcredits + change < 0:
            _recount(use)
        mine = AllowanceUse.objects.filter(pk=use.pk)
        mine.update(used_microcredits=use.used_microcredits + change)


def used(allowance: Allowance, starts_at: datetime, renews_at: datetime) -> int:
    """The use of a period, recomputed from the ledger."""
    made = Q(debit__team=allowance.team_id, created_at__gte=starts_at, created_at__lt=renews_at)
    holds = Transfer.objects.filter(made & _theirs(allowance), kind=Kind.HOLD)
    still_open = holds.exclude(resolutions__isnull=False)
    booked = Transfer.objects.filter(hold__in=holds, kind__in=BOOKINGS)
    return _sum(still_open) + _sum(booked)


def differing() -> Iterator[tuple[AllowanceUse, int]]:
    """Uses that aren't what the ledger says, with what it says."""
    for use in AllowanceUse.objects.select_related("allowance__member").order_by("pk"):
        should = used(use.allowance, use.starts_at, use.renews_at)
        if use.used_microcredits != should:
            yield use, should


def _pk(row: User | ApiKey | None) -> int | None:
    return row.pk if row else None


def _recount(use: AllowanceUse) -> None:
    """As the ledger says, with the holds that are still open in it."""
    use.used_microcredits = used(use.allowance, use.starts_at, use.renews_at)


def _bounding(team_id: int, user_id: int | None, api_key_id: int | None) -> QuerySet[Allowance]:
    theirs = Q(member__user=user_id) if user_id else Q(pk=None)
    if api_key_id:
        theirs |= Q(api_key=api_key_id)
    return Allowance.objects.filter(theirs, team=team_id).order_by("pk")


def _named(spender: Membership | ApiKey) -> dict[str, Any]:
    return {"member" if isinstance(spender, Membership) else "api_key": spender}


def _theirs(allowance: Allowance) -> Q:
    return Q(api_key=allowance.api_key_id) if allowance.member is None else Q(actor=allowance.member.user_id)


def _standing(allowance: Allowance, use: AllowanceUse | None, now: datetime) -> Standing:
    if use is None:
        return Standing(allowance, 0, periods.around(allowance.period, now)[1])
    return Standing(allowance, use.used_microcredits, use.renews_at)


def _current(allowance: Allowance, now: datetime) -> AllowanceUse | None:
    return allowance.uses.filter(starts_at__lte=now, renews_at__gt=now).first()


def _open(allowance: Allowance, now: datetime) -> AllowanceUse:
    """The first use of a period. Where its allowance is new, there may have been holds before."""
    starts_at, renews_at = periods.around(allowance.period, now)
    return AllowanceUse.objects.create(
        allowance=allowance,
        starts_at=starts_at,
        renews_at=renews_at,
        used_microcredits=used(allowance, starts_at, renews_at),
    )


def _sum(transfers: QuerySet[Transfer]) -> int:
    total: int = transfers.aggregate(sum=Coalesce(Sum("amount_microcredits"), 0))["sum"]
    return total
