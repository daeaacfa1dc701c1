"""Write a team's usage as CSV: a line for each day, person, key and batch, every amount in full."""

from collections.abc import Iterator

from accounts import spreadsheet
from accounts.ledger.money import to_credits
from accounts.models import Team
from jobs.audit import usage
from jobs.models import UsageDay
from jobs.search.date_range import DateRange

COLUMNS = (
    *("day", "person", "key", "key_name", "origin", "batch", "batch_name", "presets"),
    *("pictures", "pixels", "estimated", "held", "credits", "duplicates", "saved", "renditions"),
)
ROWS_AT_ONCE = 500


def as_csv(team: Team, span: DateRange) -> Iterator[bytes]:
    """Yield the CSV in blocks; its memory doesn't grow with the rows."""
    related = ("spender", "api_key", "batch")
    rows = usage.rows(team, span).select_related(*related).order_by("day", "bucket")
    return spreadsheet.chunks(COLUMNS, map(_cells, rows.iterator(ROWS_AT_ONCE)))


def _cells(row: UsageDay) -> Iterator[str]:
    batch, key = row.batch, row.api_key
    yield str(row.day)
    yield spreadsheet.neutral(row.spender.email)
    yield key.api_id if key else ""
    yield spreadsheet.neutral(key.name) if key else ""
    yield row.origin
    yield str(batch.pk) if batch else ""
    yield spreadsheet.neutral(batch.name) if batch else ""
    names = [output["name"] for output in batch.outputs] if batch else []
    yield spreadsheet.neutral(" + ".join(filter(None, names)))
    yield from map(str, (row.calls, row.pixels))
    yield from (f"{to_credits(amount):f}" for amount in (row.estimated, row.held, row.booked))
    yield str(row.duplicates)
    yield f"{to_credits(row.saved):f}"
    yield str(row.renditions)
