"""Write a team's statement as CSV or JSON: every amount in full, every line with its ids."""

import json
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from accounts import spreadsheet
from accounts.credits.statement import change, memos, picture
from accounts.ledger.money import to_credits
from accounts.models import Team, Transfer, User
from jobs.models import Job
from jobs.search import statement
from jobs.search.statement import StatementFilter

Record = dict[str, Any]

COLUMNS = (
    "id",
    "at",
    "kind",
    "change",
    "available_after",
    "amount",
    "debit",
    "credit",
    "who",
    "key",
    "key_name",
    "decided_by",
    "job",
    "picture",
    "hold",
    "reference",
    "memo",
)
WRITTEN_BY_PEOPLE = ("who", "key_name", "decided_by", "picture", "reference", "memo")


def as_csv(team: Team, chosen: StatementFilter) -> Iterator[bytes]:
    """Yield the CSV in blocks, for a spreadsheet and for programs."""
    return spreadsheet.chunks(COLUMNS, map(_cells, _records(team, chosen)))


def as_json(team: Team, chosen: StatementFilter) -> Iterator[bytes]:
    """Yield the JSON in blocks: an array with an object on each line."""
    return spreadsheet.in_blocks(_array(_records(team, chosen)))


def _array(records: Iterator[Record]) -> Iterator[bytes]:
    before = "[\n"
    for record in records:
        yield f"{before}{json.dumps(record, ensure_ascii=False)}".encode(errors="replace")
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def _cells(record: Record) -> Iterator[str]:
    for name in COLUMNS:
        cell = "" if record[name] is None else str(record[name])
        yield spreadsheet.neutral(cell) if name in WRITTEN_BY_PEOPLE else cell


def _records(team: Team, chosen: StatementFilter) -> Iterator[Record]:
    for rows in statement.every(team, chosen):
        names = names_of_pictures(team, rows)
        said = memos(rows, attrgetter("email"))
        yield from (_record(row, names, said[row.pk]) for row in rows)


def names_of_pictures(team: Team, rows: Iterable[Transfer]) -> dict[int, str]:
    """Return the names of the pictures that the transfers are for, by the keys of their jobs."""
    keys = {key for row in rows if (key := picture(row))}
    return dict(Job.objects.filter(team=team, pk__in=keys).values_list("pk", "name"))


def _record(row: Transfer, names: dict[int, str], memo: str) -> Record:
    job = picture(row)
    return {
        "id": row.pk,
        "at": row.created_at.isoformat(),
        "kind": row.kind,
        "change": _credits(change(row)),
        "available_after": _credits(row.available_microcredits),
        "amount": _credits(row.amount_microcredits),
        "debit": row.debit.kind,
        "credit": row.credit.kind,
        "who": _email(row.spender or row.actor),
        "key": row.api_key.api_id if row.api_key else None,
        "key_name": row.api_key.name if row.api_key else None,
        "decided_by": _email(row.actor) if row.hold_id else None,
        "job": job,
        "picture": names.get(job) if job else None,
        "hold": row.hold_id,
        "reference": row.reference,
        "memo": memo,
    }


def _credits(microcredits: int) -> str:
    return f"{to_credits(microcredits):f}"


def _email(user: User | None) -> str | None:
    return user.email if user else None
