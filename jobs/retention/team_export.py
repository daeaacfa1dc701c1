"""Write all that a team owns as one ZIP: its books, its people and its pictures, while it is sent.

Tables come first, then the pictures in the order of their jobs, then ``files.csv``, which says what each file
is, and ``manifest.json``. No more than a block of a file is in memory, besides the ZIP's own list of names.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from django.core.files.storage import default_storage
from django.utils import timezone
from zipstream import ZipStream

from accounts import spreadsheet
from accounts.ledger.money import to_credits
from accounts.models import Role, Team
from jobs.audit import history_export, statement
from jobs.connections import give_back
from jobs.models import Attempt, Backdrop, Job
from jobs.search.filters import JobFilter
from jobs.search.statement import StatementFilter
from jobs.storage import files

AT_ONCE = 200
BLOCK = 1 << 20
MAX_MISSING = 1_000

ATTEMPTS = ("job", "attempt", "state", "sent", "ended", "status", "charge_header", "charged", "test")
PEOPLE = ("person", "email", "name", "role", "since")
FILES = ("job", "kind", "file", "sha256", "bytes", "shows_files_of")


@dataclass
class Contents:
    """The figures of the manifest. missing: names of files that the storage doesn't have, or can't open."""

    pictures: int = 0
    files: int = 0
    missing: list[str] = field(default_factory=list)


def stream(team: Team) -> Iterator[bytes]:
    """Yield the ZIP. Pictures that were deleted aren't in it; their rows are."""
    archive, contents = ZipStream(), Contents()
    for name, table in _tables(team):
        yield from _member(archive, name, table)
    for backdrop in Backdrop.objects.filter(team=team).order_by("pk"):
        ending = str(backdrop.file).rpartition(".")[2]
        yield from _file(archive, str(backdrop.file), f"backgrounds/{backdrop.pk}.{ending}", contents)
    for job in _jobs(team):
        contents.pictures += 1
        if _shares(job) is None:
            for kind, name in _names(job):
                yield from _file(archive, name, _path(job.pk, kind, name), contents)
    yield from _member(archive, "files.csv", spreadsheet.chunks(FILES, _files(team)))
    yield from _member(archive, "manifest.json", _manifest(team, contents))
    yield from archive.footer()


def _tables(team: Team) -> Iterator[tuple[str, Iterator[bytes]]]:
    yield "people.csv", spreadsheet.chunks(PEOPLE, _people(team))
    yield "jobs.csv", history_export.as_csv(team, JobFilter())
    yield "attempts.csv", spreadsheet.chunks(ATTEMPTS, _attempts(team))
    yield "ledger.csv", statement.as_csv(team, StatementFilter())


def _member(archive: ZipStream, name: str, content: Iterable[bytes]) -> Iterator[bytes]:
    archive.add(content, name)
    yield from archive.all_files()


def _file(archive: ZipStream, stored: str, path: str, contents: Contents) -> Iterator[bytes]:
    try:
        file = default_storage.open(stored)
    except OSError as error:  # deleted meanwhile, lost or not readable
        if files.concerns_all(error):
            raise
        contents.missing += [stored] if len(contents.missing) < MAX_MISSING else []
        return
    contents.files += 1
    give_back()  # the database's connection: the client may read slowly
    with file:
        yield from _member(archive, path, _blocks(file))


def _blocks(file: "IO[bytes]") -> Iterator[bytes]:
    return iter(partial(file.read, BLOCK), b"")


def _jobs(team: Team) -> Iterator[Job]:
    """Yield the team's pictures that aren't deleted, in the order of their keys."""
    jobs = Job.objects.filter(team=team, erased_at=None).select_related("reused_from").order_by("pk")
    last = 0
    while page := list(jobs.filter(pk__gt=last)[:AT_ONCE]):
        last = page[-1].pk
        yield from page


def _shares(job: Job) -> Job | None:
    """Return the job under which the files are that this one shows; None if they are under its own number."""
    return job.reused_from if job.reused_from and job.reused_from.erased_at is None else None


def _names(job: Job) -> Iterator[tuple[str, str]]:
    for kind, file in (("source", job.source), ("original", job.original), ("result", job.result)):
        if file:
            yield kind, str(file.name)


def _path(job: int, kind: str, name: str) -> str:
    return f"pictures/{job}/{kind}.{name.rpartition('.')[2]}"


def _files(team: Team) -> Iterator[tuple[str, ...]]:
    for job in _jobs(team):
        shares = _shares(job)
        for kind, name in _names(job):
            sha256 = getattr(job, f"{kind}_sha256") or ""
            size = getattr(job, f"{kind}_bytes")
            path = _path(shares.pk if shares else job.pk, kind, name)
            yield (str(job.pk), kind, path, sha256, str(size or ""), str(shares.pk) if shares else "")


def _people(team: Team) -> Iterator[tuple[str, ...]]:
    for member in team.memberships.select_related("user").order_by("pk"):
        texts = map(spreadsheet.neutral, (member.user.email, member.user.get_full_name()))
        yield (str(member.user_id), *texts, Role(member.role).name.lower(), member.created_at.isoformat())


def _attempts(team: Team) -> Iterator[tuple[str, ...]]:
    last = 0
    jobs = Job.objects.filter(team=team).order_by("pk").values_list("pk", flat=True)
    while keys := list(jobs.filter(pk__gt=last)[:AT_ONCE]):
        last = keys[-1]
        yield from map(_attempt, Attempt.objects.filter(job__in=keys).order_by("job", "number"))


def _attempt(attempt: Attempt) -> tuple[str, ...]:
    charged = attempt.known_microcredits
    times = (at.isoformat() if at else "" for at in (attempt.sent_at, attempt.ended_at))
    return (
        *(str(attempt.job_id), str(attempt.number), attempt.state),
        *times,
        str(attempt.status or ""),
        spreadsheet.neutral(attempt.charged_header or ""),
        "" if charged is None else f"{to_credits(charged):f}",
        "yes" if attempt.test else "no",
    )


def _manifest(team: Team, contents: Contents) -> Iterator[bytes]:
    told = {
        "team": team.slug,
        "name": team.name,
        "at": timezone.now().isoformat(),
        "pictures": contents.pictures,
        "files": contents.files,
        "missing": contents.missing,
    }
    yield json.dumps(told, ensure_ascii=False, indent=2).encode(errors="replace")
