"""Page through the calls of one period, newest first, and write them as CSV."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q

from accounts import spreadsheet
from accounts.ledger.money import to_credits
from jobs.models import Attempt, BalancePeriod
from jobs.models.attempt import AttemptQuerySet
from jobs.search.pagination import MAX_KEY

COLUMNS = (
    "attempt",
    "team",
    "sent_at",
    "answered_at",
    "state",
    "status",
    "x_credits_charged",
    "held",
    "charged",
    "booked",
    "verdict",
)
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class CallsPage:
    """``older`` continues with the next page; empty on the last one."""

    attempts: list[Attempt]
    older: str


def calls_of(row: BalancePeriod) -> AttemptQuerySet:
    """Select the attempts that count in a period: those that began in it."""
    within = Q(sent_at__gt=row.opening.came_at, sent_at__lte=row.closing.came_at)
    return Attempt.objects.of_account(row.account_id).filter(within)


def with_evidence(attempts: AttemptQuerySet) -> AttemptQuerySet:
    """Read with each attempt what its lines on a page show."""
    return attempts.with_verdict().select_related("job__team", "hold", "reviewed_by")


def page(row: BalancePeriod, before: str, size: int) -> CallsPage:
    """Return the newest calls of a period before a cursor, the ``older`` of the page before."""
    attempts = calls_of(row)
    if cursor := _parse(before):
        at, pk = cursor
        attempts = attempts.filter(sent_at__lte=at).exclude(sent_at=at, pk__gte=pk)
    newest = list(with_evidence(attempts).order_by("-sent_at", "-pk")[: size + 1])
    return CallsPage(newest[:size], _cursor(newest[size - 1]) if len(newest) > size else "")


def notable(row: BalancePeriod) -> dict[str, list[Attempt]]:
    """Return the first attempts of each kind that may explain a difference, by kind."""
    keys = {pk for pks in row.notable.values() for pk in pks}
    attempts = {each.pk: each for each in with_evidence(Attempt.objects.filter(pk__in=keys))}
    return {kind: [attempts[pk] for pk in pks if pk in attempts] for kind, pks in row.notable.items()}


def csv(row: BalancePeriod) -> Iterator[bytes]:
    """Yield a period's calls as CSV, oldest first, with flat memory; amounts are in credits."""
    attempts = calls_of(row).with_verdict().select_related("job__team").order_by("sent_at", "pk")
    return spreadsheet.chunks(COLUMNS, map(_cells, attempts.defer("headers").iterator()))


def _cells(attempt: Attempt) -> Iterator[str]:
    yield f"{attempt.job_id}/{attempt.number}"
    yield spreadsheet.neutral(attempt.job.team.slug)
    yield from ("" if at is None else at.isoformat() for at in (attempt.sent_at, attempt.answered_at))
    yield str(attempt.state)
    yield "" if attempt.status is None else str(attempt.status)
    yield spreadsheet.neutral(attempt.charged_header or "")
    known = attempt.known_microcredits
    for amount in (attempt.held, known, attempt.booked):
        yield "" if amount is None else f"{to_credits(amount):f}"
    yield attempt.verdict


def _cursor(attempt: Attempt) -> str:
    sent = attempt.sent_at or datetime.min.replace(tzinfo=UTC)
    seconds = int(sent.replace(microsecond=0).timestamp())
    return f"{seconds * MICROSECONDS + sent.microsecond}.{attempt.pk}"


def _parse(cursor: str) -> tuple[datetime, int] | None:
    """Return the time and the key that a cursor names; None for none, or for what isn't one."""
    try:
        moment, pk = map(int, cursor.split("."))
        at = datetime.fromtimestamp(moment // MICROSECONDS, UTC).replace(microsecond=moment % MICROSECONDS)
    except (ValueError, OverflowError, OSError):
        return None
    return (at, pk) if 0 <= pk <= MAX_KEY else None
