"""Write a team's jobs as CSV, however many they are."""

from collections.abc import Iterator
from uuid import UUID

from django.utils import timezone

from accounts import spreadsheet
from accounts.ledger.money import to_credits
from accounts.models import Team
from jobs.audit.reconcile import books
from jobs.models import Batch, Job
from jobs.search import filters
from jobs.search.filters import JobFilter

PAGE = 150
"""Jobs in memory at a time."""

COLUMNS = (
    "id",
    "date",
    "name",
    "folder",
    "batch",
    "person",
    "key",
    "source",
    "test",
    "state",
    "reason",
    "estimated",
    "held",
    "charged",
    "booked",
    "verdict",
    "attempts",
    "charge_headers",
)


def as_csv(team: Team, job_filter: JobFilter) -> Iterator[bytes]:
    """Yield the CSV in blocks. Amounts are in credits, and headers verbatim, one for each attempt.

    The columns and their values are the same in every language.
    """
    return spreadsheet.chunks(COLUMNS, _lines(team, job_filter))


def _lines(team: Team, job_filter: JobFilter) -> Iterator[Iterator[str]]:
    before: int | None = None
    while True:
        page = filters.page(team, job_filter, before, PAGE)
        batches: dict[UUID | None, str] = dict(
            Batch.objects.filter(jobs__in=page.rows).values_list("pk", "name").distinct()
        )
        yield from (_cells(job, batches) for job in page.rows)
        before = page.older
        if before is None:
            return


def _cells(job: Job, batches: dict[UUID | None, str]) -> Iterator[str]:
    money, attempts = books(job), sorted(job.attempts.all(), key=lambda attempt: attempt.number)
    yield from (str(job.pk), timezone.localtime(job.created_at).isoformat(timespec="seconds"))
    texts = (job.name, job.folder, batches.get(job.batch_id, ""), job.created_by.email)
    yield from map(spreadsheet.neutral, (*texts, job.api_key.name if job.api_key else ""))
    yield from (job.origin, "yes" if job.test else "no", job.state, job.reason)
    yield from map(_amount, (money.estimated, money.held, money.charged, money.booked))
    yield from (money.verdict.value, str(len(attempts)))
    yield spreadsheet.neutral("; ".join(attempt.charged_header or "" for attempt in attempts))


def _amount(microcredits: int | None) -> str:
    return "" if microcredits is None else f"{to_credits(microcredits):f}"
