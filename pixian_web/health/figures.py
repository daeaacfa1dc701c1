"""Read the figures of the instance for Prometheus and support, each by a query that reads few rows."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db.models import Func, Min, QuerySet, Sum
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from accounts.ledger.money import MICROCREDITS
from accounts.models import LedgerAccount
from jobs.audit import balance_snapshots
from jobs.events.webhooks import WAITING
from jobs.models import Attempt, Delivery, Job, PeriodicTask, Ramp, UpstreamAccount, Verification
from jobs.models.scheduling import WorkerHeartbeat
from jobs.queue import concurrency, workers
from jobs.storage.volumes import volumes
from pixian_web.health import work

KEPT = Func(template="'kept'")  # a literal, for SQLite's partial index ``job_kept_by_payer``
CREDITS = (LedgerAccount.Kind.AVAILABLE, LedgerAccount.Kind.HELD, LedgerAccount.Kind.SPENT)


def gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, value=value)


def _gauges(
    name: str, says: str, label: str, values: Iterable[tuple[str, float]]
) -> Iterator[GaugeMetricFamily]:
    family = GaugeMetricFamily(name, says, labels=[label])
    for named, value in values:
        family.add_metric([named], value)
    yield family


def of_machine() -> Iterator[GaugeMetricFamily]:
    """Yield the level of this machine's disks."""
    found = list(volumes())
    yield from _gauges(
        "pixian_disk_free_bytes", "Free space", "volume", [(v.name, v.free_bytes) for v in found]
    )
    yield from _gauges(
        "pixian_disk_size_bytes", "Size of the volume", "volume", [(v.name, v.total_bytes) for v in found]
    )


def of_database() -> Iterator[GaugeMetricFamily]:
    """Yield what the database knows of the whole instance, on all of its machines."""
    now = timezone.now()
    in_flight = Job.objects.in_flight(now).count()
    yield from _queue(now, in_flight)
    yield from _calls(now, in_flight)
    yield from _events(now)
    yield from _money()
    yield from _processes()
    yield from _upkeep()


def _queue(now: datetime, in_flight: int) -> Iterator[GaugeMetricFamily]:
    counts = [
        ("queued", _count(Job.objects.unfinished().filter(state=Job.State.QUEUED))),
        ("running", in_flight),
        ("kept", _count(Job.objects.filter(state=KEPT))),
        ("in_doubt", _count(Attempt.objects.in_doubt())),
    ]
    says = f"Jobs that aren't finished, by state, and those in doubt; counted up to {work.MAX_COUNTED}"
    yield from _gauges("pixian_jobs", says, "state", counts)
    oldest = work.due_since(now)
    yield gauge("pixian_queue_oldest_due_seconds", "Since when the oldest due job waits", _age(oldest, now))


def _calls(now: datetime, in_flight: int) -> Iterator[GaugeMetricFamily]:
    yield gauge("pixian_calls_in_flight", "Calls to the upstream under way", in_flight)
    allowed = concurrency.limit(Ramp.objects.first() or Ramp(), now)
    yield gauge("pixian_calls_allowed", "Calls that the ramp allows at once", allowed)


def _events(now: datetime) -> Iterator[GaugeMetricFamily]:
    waiting = Delivery.objects.filter(state=WAITING)
    says = f"Deliveries to webhooks that wait; counted up to {work.MAX_COUNTED}"
    yield gauge("pixian_webhooks_waiting", says, _count(waiting))
    oldest = waiting.aggregate(since=Min("due_at"))["since"]
    yield gauge(
        "pixian_webhooks_oldest_due_seconds", "Since when the oldest due one waits", _age(oldest, now)
    )


def _money() -> Iterator[GaugeMetricFamily]:
    sums = LedgerAccount.objects.filter(kind__in=CREDITS).values_list("kind")
    of_kind = [(kind, micro / MICROCREDITS) for kind, micro in sums.annotate(Sum("balance_microcredits"))]
    yield from _gauges("pixian_credits", "Credits of all teams", "account", of_kind)
    if last := balance_snapshots.latest(UpstreamAccount.objects.of_settings()):
        balance = last.microcredits / MICROCREDITS
        yield gauge("pixian_upstream_balance_credits", "Credits left at the upstream, as last asked", balance)
        at = last.came_at.timestamp()
        yield gauge("pixian_upstream_balance_timestamp_seconds", "When that was asked", at)


def _processes() -> Iterator[GaugeMetricFamily]:
    counts = [(str(kind), workers.at_work(kind).count()) for kind in WorkerHeartbeat.Kind]
    yield from _gauges("pixian_processes", "Processes whose heartbeat is in time", "kind", counts)


def _upkeep() -> Iterator[GaugeMetricFamily]:
    ran = PeriodicTask.objects.values_list("name", "ran_at")
    ends = [(name, at.timestamp()) for name, at in ran if at]
    yield from _gauges("pixian_task_timestamp_seconds", "When a task last came to its end", "task", ends)
    says = f"Attempts that wait for a person; counted up to {work.MAX_CASES + 1}"
    yield gauge("pixian_reviews_waiting", says, work.waiting_for_review())
    if last := Verification.objects.first():
        yield gauge("pixian_verification_findings", "Findings of the last verification", len(last.findings))


def _count(rows: QuerySet[Job] | QuerySet[Attempt] | QuerySet[Delivery]) -> int:
    return min(rows.order_by()[: work.MAX_COUNTED + 1].count(), work.MAX_COUNTED)


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
