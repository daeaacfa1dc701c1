"""Find the reasons for a warning: credits, allowances, the upstream's account or a disk that run low.

Nothing is remembered between two looks: they read the few balances as they are, so that no transfer can be
missed by the order in which it was committed.

A pool is measured by what was available right after its newest grant: of that, so many percent are used as
are neither available nor held any more. What was held when the grant came counts as unused until it is
booked.
"""

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.utils import timezone

from accounts.models import AllowanceUse, LedgerAccount, Team, Transfer
from jobs.models import Alert, BalanceSnapshot, UpstreamAccount, Webhook, WorkerHeartbeat
from jobs.storage.volumes import DATA, FILES, volumes

PERCENT = (80, 95, 100)
DAYS_LASTING = (7, 1)
DAYS_LEFT = (30, 7, 1)
SLACK = 5
"""So many percent below its level a warning is over, so that none comes and goes with each hold."""

WEEK = timedelta(days=7)
FULL = 100
ENOUGH_MEGAPIXELS = 100
"""An account that can't pay for so many is low, however little was spent lately."""

POOL, ALLOWANCE, UPSTREAM, USE_BEFORE, WEBHOOK = "pool", "allowance", "upstream", "use_before", "webhook"
DISK = "disk"
DISK_PERCENT = (80, 90, 95)
FILLING = "filling"
MAX_SUBJECT = Alert._meta.get_field("subject").max_length

IN_HAND = (LedgerAccount.Kind.AVAILABLE, LedgerAccount.Kind.HELD)


@dataclass(frozen=True)
class Reason:
    """A reason for a warning, with what names it (see ``Alert``) and the figures of its sentence.

    is_reached: False if it is only near, which lets a warning stay that was given.
    """

    subject: str
    team_id: int | None
    level: int
    period: str
    text: dict[str, Any] = field(compare=False)
    is_reached: bool = field(default=True, compare=False)


def all_reasons() -> Iterator[Reason]:
    """Yield every reason there is at present; of one subject the graver ones later."""
    yield from pools()
    yield from member_allowances()
    yield from upstream()
    yield from webhooks_off()
    yield from disks()


def pools() -> Iterator[Reason]:
    """Yield the reasons about the teams' pools."""
    accounts = LedgerAccount.objects.filter(team=OuterRef("pk"), kind__in=IN_HAND).order_by()
    balance = accounts.values("team").annotate(sum=Sum("balance_microcredits")).values("sum")
    grants = Transfer.objects.filter(team=OuterRef("pk"), kind=Transfer.Kind.GRANT).order_by("-pk")
    teams: QuerySet[Any] = Team.objects.annotate(
        in_hand=Subquery(balance),
        grant=Subquery(grants.values("pk")[:1]),
        full=Subquery(grants.values("available_microcredits")[:1]),
    )
    for pk, in_hand, grant, full in teams.filter(grant__isnull=False).values_list(
        "pk", "in_hand", "grant", "full"
    ):
        percent = used_percent(full, in_hand)
        text = {"left": in_hand, "full": full}
        yield from _levels(POOL, pk, f"grant:{grant}", percent, text)


def used_percent(full: int, left: int) -> int:
    """Return how much of an amount is used, rounded: with a last rest that pays no picture it is used up."""
    return FULL if full <= 0 else max(0, ((full - left) * FULL + full // 2) // full)


def member_allowances() -> Iterator[Reason]:
    """Yield the reasons about allowances, each in its present period."""
    now = timezone.now()
    limit = F("allowance__limit_microcredits") + F("raised_microcredits")
    uses = AllowanceUse.objects.annotate(limit=limit).filter(starts_at__lte=now, renews_at__gt=now)
    low = Q(limit__gt=0, used_microcredits__gte=F("limit") * (PERCENT[0] - SLACK) / FULL)
    for use in uses.filter(low).select_related("allowance__member", "allowance__api_key"):
        allowance, limit_ = use.allowance, use.limit
        key = allowance.api_key
        text = {
            "user": key.owner_id if key else allowance.member and allowance.member.user_id,
            "key": key.name if key else None,
            "used": use.used_microcredits,
            "limit": limit_,
            "renews": timezone.localtime(use.renews_at).date().isoformat(),
        }
        percent, period = use.used_microcredits * FULL // limit_, use.starts_at.isoformat()
        yield from _levels(f"{ALLOWANCE}:{allowance.pk}", allowance.team_id, period, percent, text)


def upstream() -> Iterator[Reason]:
    """Yield the reasons about the account that pays: what is left of it, and its last day."""
    account = UpstreamAccount.objects.of_settings()
    snapshots = BalanceSnapshot.objects.filter(account=account).order_by("-came_at")
    newest = snapshots.first() if account else None
    if account and newest:
        recent = snapshots.filter(came_at__gt=newest.came_at - WEEK).values_list("microcredits", flat=True)
        yield from _lasting(account.pk, newest.microcredits, spent(reversed(recent)))
        yield from _use_before(account.pk, newest)


def spent(balances: Iterable[int]) -> int:
    """Return by how much balances, the oldest first, fell in all. A purchase between two hides its hour."""
    return sum(max(0, before - after) for before, after in pairwise(balances))


def webhooks_off() -> Iterator[Reason]:
    """Yield the webhooks that were switched off because they failed, and not by a person."""
    off = Webhook.objects.filter(disabled_at__isnull=False).exclude(disabled_why="")
    for pk, team, url, at, why in off.values_list("pk", "team", "url", "disabled_at", "disabled_why"):
        text = {"url": url, "why": why}
        yield Reason(f"{WEBHOOK}:{pk}", team, 0, at.isoformat() if at else "", text)


def disks() -> Iterator[Reason]:
    """Yield the reasons about this machine's volumes, and keep those that other machines have found.

    The files' volume is the same one everywhere; DATA_DIR's is each machine's own.
    """
    here = socket.gethostname()
    for volume in volumes():
        subject = f"{DISK}:{FILES}" if volume.name == FILES else _own_disk(here)
        text = {"folder": str(volume.folder), "host": here, "free": volume.free_bytes}
        yield from _levels(subject, None, FILLING, volume.percent_used, text, DISK_PERCENT)
    processes = WorkerHeartbeat.objects.filter(kind=WorkerHeartbeat.Kind.WORKER)
    for host in {name.partition(":")[0] for name in processes.values_list("pk", flat=True)} - {here}:
        yield from _levels(_own_disk(host), None, FILLING, FULL, {}, DISK_PERCENT, is_reached=False)


def _own_disk(host: str) -> str:
    return f"{DISK}:{DATA}@{host}"[:MAX_SUBJECT]


def _levels(
    subject: str,
    team: int | None,
    period: str,
    percent: int,
    text: dict[str, Any],
    levels: tuple[int, ...] = PERCENT,
    *,
    is_reached: bool = True,
) -> Iterator[Reason]:
    for level in levels:
        if percent >= level - SLACK:
            yield Reason(subject, team, level, period, text, is_reached and percent >= level)


def _lasting(account: int, balance: int, spent_in_a_week: int) -> Iterator[Reason]:
    least = ENOUGH_MEGAPIXELS * settings.HOLD_MICROCREDITS_PER_MEGAPIXEL
    text = {"left": balance, "spent": spent_in_a_week}
    for days in DAYS_LASTING:
        needed = max(spent_in_a_week * days // DAYS_LASTING[0], least if days == DAYS_LASTING[0] else 0)
        if balance * FULL < needed * (FULL + SLACK):
            yield Reason(f"{UPSTREAM}:{account}", None, days, "balance", text, balance < needed)


def _use_before(account: int, snapshot: BalanceSnapshot) -> Iterator[Reason]:
    try:
        last = date.fromisoformat(str(snapshot.answer.get("useBefore"))[:10])
    except ValueError:
        return
    left = (last - timezone.localdate()).days
    text = {"date": last.isoformat(), "days": left, "left": snapshot.microcredits}
    for days in DAYS_LEFT:
        if left <= days and snapshot.microcredits > 0:
            yield Reason(f"{USE_BEFORE}:{account}", None, days, last.isoformat(), text)
