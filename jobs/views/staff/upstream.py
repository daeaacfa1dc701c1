"""Show staff the upstream: its account, the calls under way, their endings, latency and charges."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import number_format
from django.views.decorators.http import require_safe

from accounts.teams.permissions import staff_only
from jobs.audit import balance_snapshots, recent_calls
from jobs.audit.recent_calls import DayRate
from jobs.calls import accounts
from jobs.models import Job, Price, Ramp, UpstreamAccount
from jobs.queue import concurrency, stopping, workers

MAX_WAITING = 50
ID_SHOWN = 4
WIDTH, HEIGHT = 720, 160  # of the chart, in its own units


@dataclass(frozen=True)
class Balance:
    """The balance as it was last answered. use_before: the upstream's own text, if it names a date."""

    microcredits: int
    came_at: datetime
    state: str
    use_before: str

    @property
    def use_before_at(self) -> date | None:
        """The day named by ``use_before``; None if it can't be read."""
        with suppress(ValueError):
            return date.fromisoformat(self.use_before[:10])
        return None


@dataclass(frozen=True)
class Load:
    """Calls under way, and how many may be. ceiling: what the limit rises to."""

    in_flight: int
    limit: int
    ceiling: int
    program_waits: bool
    threads: int


@staff_only
@require_safe
def upstream(request: HttpRequest) -> HttpResponse:
    now, account = timezone.now(), UpstreamAccount.objects.of_settings()
    rates = recent_calls.daily_rates(account, now) if account else []
    page = {
        "address": settings.PIXIAN_API_URL,
        "embedded": settings.PIXIAN_EMBEDDED,
        "api_id": f"{settings.PIXIAN_API_ID[:ID_SHOWN]}…",
        "account": account,
        "balance": last_balance(account),
        "load": load(now),
        "stopped": stopping.stopped(),
        "waiting": waiting(now)[:MAX_WAITING],
        "endings": recent_calls.endings(now),
        "latency": recent_calls.latency(),
        "rates": rates,
        "chart": chart(rates, settings.HOLD_MICROCREDITS_PER_MEGAPIXEL),
        "floor": settings.HOLD_MICROCREDITS_PER_MEGAPIXEL,
        "prices": [(number_format(2**price.band, force_grouping=True), price) for price in _prices()],
    }
    return render(request, "staff/upstream.html", page)


def last_balance(account: UpstreamAccount | None) -> Balance | None:
    """Return the newest stored balance of the account; None if there is none, as with the embedded engine."""
    newest = balance_snapshots.latest(account)
    if newest is None:
        return None
    texts = [str(newest.answer.get(name) or "") for name in ("state", "useBefore")]
    return Balance(newest.microcredits, newest.came_at, *texts)


def load(now: datetime) -> Load:
    ramp = Ramp.objects.first() or Ramp()
    return Load(
        in_flight=Job.objects.in_flight(now).count(),
        limit=concurrency.limit(ramp, now),
        ceiling=settings.CALLS_IN_FLIGHT,
        program_waits=concurrency.program_waits(ramp, now),
        threads=sum(workers.at_work().values_list("threads", flat=True)),
    )


def waiting(now: datetime) -> QuerySet[Job]:
    """Return the jobs that were put off; the thread of each waits as long (``jobs.worker.run``)."""
    put_off = Job.objects.unfinished().filter(state=Job.State.QUEUED, run_after__gt=now).exclude(reason="")
    return put_off.select_related("team").order_by("run_after", "pk")


def _prices() -> QuerySet[Price]:
    return Price.objects.of(*accounts.named()).order_by("band")


@dataclass(frozen=True)
class Chart:
    """The daily medians as a line, in the chart's units, as text that no language's comma gets into.

    top: the highest value that the chart shows, in micro-credits per megapixel. floor: its line's height.
    """

    points: str
    dots: list[tuple[str, str]]
    floor: str
    top: int


def chart(rates: list[DayRate], floor: int) -> Chart | None:
    """Draw the daily medians; None if there are no days."""
    if not rates:
        return None
    top = max(floor, *(rate.median for rate in rates)) * 11 // 10 or 1
    first, days = rates[0].day, max(1, (rates[-1].day - rates[0].day).days)
    dots = [(f"{WIDTH * (rate.day - first).days / days:.1f}", _height(rate.median, top)) for rate in rates]
    return Chart(" ".join(f"{x},{y}" for x, y in dots), dots, _height(floor, top), top)


def _height(value: int, top: int) -> str:
    return f"{HEIGHT - HEIGHT * value / top:.1f}"
