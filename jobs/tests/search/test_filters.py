"""Each filter, and any of them together, gives what a plain loop over the rows gives."""

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from accounts.api_keys import keys
from accounts.ledger import operations as ledger
from accounts.models import Team
from accounts.teams.create import open_team
from conftest import World
from jobs.audit.reconcile import books
from jobs.models import Attempt, Batch, Job
from jobs.models.verdicts import Verdict
from jobs.search import facets, filters, name_index, names, pagination, scan
from jobs.search.date_range import DateRange
from jobs.search.filters import JobFilter

pytestmark = pytest.mark.both_databases

NAMES = (
    "photo-1.jpg",
    "PHOTO-2.JPG",
    "100%.png",
    "a_b.png",
    'q"uote.png',
    "it's.png",
    "<img src=x onerror=alert(1)>.png",
    "back\\slash.png",
    "Grüße.png",
    unicodedata.normalize("NFD", "Röcke.png"),
    "写真-赤い靴.png",
    "x",
)
PARTS = (
    "photo",
    "HOTO-",
    "%",
    "_",
    '"',
    "'",
    "<img",
    "\\",
    "üß",
    "röcke",
    "RÖCKE",
    "赤い靴",
    "写真",
    "x",
    ".png",
)
START = datetime(2026, 3, 1, 12, tzinfo=timezone.get_default_timezone())
JOBS = 80
ENDINGS = ("booked", "over", "unequal", "released", "open", "disagreed", *Attempt.Doubt.values)


@dataclass(frozen=True)
class Table:
    """The team's jobs, newest first, with their verdicts, and the values to filter by."""

    team: Team
    jobs: list[Job]
    verdicts: dict[int, Verdict]
    people: list[int]
    keys: list[str]
    batches: list[UUID]


@pytest.fixture
def table(world: World, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setattr(filters, "FIRST_SCANNED", 7)
    monkeypatch.setattr(filters, "FIRST_JUDGED", 5)
    monkeypatch.setattr(filters, "COMMON", 3)
    monkeypatch.setattr(filters, "MAX_SCANNED", 23)
    monkeypatch.setattr(filters, "MAX_JUDGED", 11)
    monkeypatch.setattr(pagination, "SLACK", 3)
    monkeypatch.setattr(scan, "FIRST_CHUNK", 2)
    return fill(world.team, [world.alice.pk, world.bob.pk], world)


def fill(team: Team, people: list[int], world: World) -> Table:
    """Make jobs of every kind in two teams, by a fixed seed."""
    dice = random.Random(7)
    other = open_team("Elsewhere", world.charlie, 100_000_000)
    their_keys = [keys.create(team, world.bob, name, scopes=[])[0] for name in ("shop", "app")]
    batches = [Batch.objects.create(team=team, created_by=world.alice, name=name) for name in "ab"]
    for number in range(JOBS):
        is_mine = number % 5 != 4
        job = _job(dice, team if is_mine else other, people, number)
        if is_mine:
            job.batch = dice.choice([None, None, *batches])
            job.api_key = dice.choice([None, *their_keys])
        job.save()
        Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta((JOBS - number) // 20))
        for attempt in range(1 if is_mine and number < 20 else dice.choice([0, 1, 1, 2])):
            ending = ENDINGS[number % len(ENDINGS)] if number < 20 else dice.choice(ENDINGS)
            _attempt(job, attempt + 1, ending)
    mine = list(filters.of_team(team).order_by("-pk"))
    verdicts = {job.pk: books(job).verdict for job in mine}
    assert set(verdicts.values()) == set(Verdict), "the table lacks a verdict"
    return Table(
        team, mine, verdicts, people, [key.api_id for key in their_keys], [batch.pk for batch in batches]
    )


def _job(dice: random.Random, team: Team, people: list[int], number: int) -> Job:
    state = dice.choice(Job.State.values)
    return Job(
        team=team,
        created_by_id=dice.choice(people),
        origin=dice.choice(Job.Origin.values),
        request_id=uuid4(),
        test=dice.random() < 0.2,
        name=dice.choice(NAMES),
        source="s",
        source_sha256="0" * 64,
        source_bytes=1,
        content_type="image/png",
        width=1,
        height=1,
        estimated_microcredits=dice.randrange(5),
        state=state,
        result="r",
        lease_until=timezone.now() if state == Job.State.RUNNING else None,
        reused_from=Job.objects.filter(team=team).first() if dice.random() < 0.1 else None,
    )


def _attempt(job: Job, number: int, ending: str) -> None:
    """Make an attempt that ended in one of all ways, the impossible ones included."""
    reference = f"job:{job.pk}:{number}"
    hold = ledger.hold(job.team, 1000, key=f"hold:{reference}", reference=reference, actor=job.created_by)
    values: dict[str, Any] = {"sent_at": START, "status": 200}
    if ending in ("booked", "over", "unequal", "disagreed"):
        charge = 1500 if ending == "over" else 700
        ledger.settle(hold, charge)
        values |= {"state": "booked", "charged_microcredits": charge + (ending == "unequal")}
    if ending == "disagreed":
        reviewed = {"resolved_microcredits": 700, "charged_microcredits": 800, "reviewed_at": START}
        values |= {"doubt": "late", "answered_at": START + timedelta(1)} | reviewed
    if ending == "released":
        ledger.release(hold)
        values |= {"state": "released"}
    if ending == "open":
        values |= {"state": "sent"}
    if ending in Attempt.Doubt.values:
        values |= {"state": "in_doubt", "doubt": ending}
    Attempt.objects.create(job=job, number=number, hold=hold, **values)


def plain(table: Table, wanted: JobFilter) -> Iterator[Job]:
    """The other way: read everything, and compare in Python."""
    for job in table.jobs:
        fits = (
            wanted.state in (None, job.state),
            wanted.origin in (None, job.origin),
            wanted.key in (None, job.api_key and job.api_key.api_id),
            wanted.person in (None, job.created_by_id),
            wanted.test in (None, job.test),
            wanted.batch in (None, job.batch_id),
            wanted.verdict in (None, table.verdicts[job.pk]),
            wanted.name is None or _fold(wanted.name) in _fold(job.name),
            _is_in(wanted.span, timezone.localtime(job.created_at).date()),
        )
        if all(fits):
            yield job


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


def _is_in(span: DateRange, day: date) -> bool:
    return (span.since is None or span.since <= day) and (span.until is None or day <= span.until)


def walk(team: Team, wanted: JobFilter, size: int) -> list[int]:
    """Follow the pages to the end."""
    found, before = list[int](), None
    while True:
        page = filters.page(team, wanted, before, size)
        assert len(page.rows) <= size
        assert page.older is None or before is None or page.older < before
        found += [job.pk for job in page.rows]
        if page.older is None:
            return found
        before = page.older


def any_filter(dice: random.Random, table: Table) -> JobFilter:
    """Return a filter by a few columns at once, its values often ones that the table has."""
    today = timezone.localdate()
    days = sorted(today - timedelta(dice.randrange(-1, 6)) for _ in range(2))
    values: dict[str, Any] = {
        "state": dice.choice(Job.State.values),
        "origin": dice.choice(Job.Origin.values),
        "key": dice.choice([*table.keys, "none"]),
        "name": dice.choice(PARTS),
        "span": dice.choice([DateRange(*days), DateRange(days[0]), DateRange(None, days[1])]),
        "person": dice.choice([*table.people, 0]),
        "test": dice.choice([True, False]),
        "verdict": dice.choice(list(Verdict)),
        "batch": dice.choice([*table.batches, uuid4()]),
    }
    return JobFilter(**{name: values[name] for name in dice.sample(sorted(values), dice.randrange(4))})


def test_any_filter_gives_what_a_plain_loop_gives(table: Table) -> None:
    """Page by page, without a job twice or left out, and in their order."""
    dice = random.Random(11)
    for _ in range(80):
        wanted, size = any_filter(dice, table), dice.choice([1, 3, 50])
        assert walk(table.team, wanted, size) == [job.pk for job in plain(table, wanted)], (wanted, size)


def single(table: Table, by: str) -> list[JobFilter]:
    values: dict[str, Any] = {
        "state": Job.State.values,
        "origin": Job.Origin.values,
        "verdict": list(Verdict),
        "test": (True, False),
        "person": table.people,
        "key": table.keys,
        "batch": table.batches,
        "name": PARTS,
    }
    return [JobFilter(**{by: value}) for value in values[by]]


BY = ("state", "origin", "verdict", "test", "person", "key", "batch", "name")


def test_each_filter_alone_finds_something_and_not_all(table: Table) -> None:
    for wanted in [wanted for by in BY for wanted in single(table, by)]:
        expected = [job.pk for job in plain(table, wanted)]
        assert 0 < len(expected) < len(table.jobs), wanted
        assert walk(table.team, wanted, 4) == expected, wanted


def test_a_search_works_as_well_without_the_index_of_names(table: Table) -> None:
    with mock.patch.object(name_index, "is_there", return_value=False):
        for part in PARTS:
            expected = [job.pk for job in plain(table, JobFilter(name=part))]
            assert walk(table.team, JobFilter(name=part), 4) == expected, part


def both_ways(team: Team, part: str) -> tuple[list[int], list[int]]:
    """Return what a scan finds by a part of the name, and what the index does."""
    wanted = JobFilter(name=part)
    assert filters._is_rare(wanted), "the index isn't asked"
    found = []
    for first_scanned in (1_000, 1):
        with mock.patch.object(filters, "FIRST_SCANNED", first_scanned):
            found.append(filters.find(team, wanted, None, 100).keys)
    return found[0], found[1]


ALIKE = [
    *(("straße", "STRASSE.png"), ("ﬁnal", "FINAL.png"), ("ŉabc", "ʼNabc.png"), ("maſs", "MASS.png")),
    *(("ΦΩΤΟΣ-1", "φωτος-1.png"), ("φωτοσ", "φωτος.png"), ("φωτος", "φωτοσυνθεση.png")),
    *(("ΦΩΤΟΣ", "φωτοσυνθεση.png"), ("ΐabc", unicodedata.normalize("NFD", "Ϊ́ABC.png"))),
    *(("ÅNGSTRÖM", unicodedata.normalize("NFD", "ångström.png")), ("\u212bngström", "ångström.png")),
]


@pytest.mark.parametrize(("part", "name"), ALIKE)
def test_letters_that_have_several_in_the_other_case_are_found_in_old_jobs_too(
    world: World, part: str, name: str
) -> None:
    jobs = named(world, name, "another", "a third")
    assert both_ways(world.team, part) == ([jobs[0]], [jobs[0]])


def test_the_index_finds_what_a_scan_finds(world: World) -> None:
    """Whichever letters are alike, which databases differ about, they are so in new jobs and in old ones."""
    dice = random.Random(5)
    letters = ["s", "S", "ß", "ſ", "ẞ", "σ", "ς", "Σ", "i", "I", "İ", "ı", "k", "\u212a", "ǆ", "ǅ", "ŉ", "ﬁ"]
    words = ["".join(dice.choices([*letters, "é", "e\u0301", "ΐ"], k=4)) + "abc" for _ in range(20)]
    cases = [case for word in words for case in (word, word.lower(), word.upper(), word.casefold())]
    named(world, *cases, "another", "a third")
    for part in cases:
        by_scan, by_index = both_ways(world.team, part)
        assert by_scan == by_index, part


def test_plain_letters_are_looked_up_once() -> None:
    assert names.spellings("photo-1") == ["photo-1"]


def named(world: World, *texts: str) -> list[int]:
    """Make jobs of these names and return their keys."""
    dice, keys = random.Random(3), []
    for number, text in enumerate(texts):
        job = _job(dice, world.team, [world.alice.pk], number)
        job.name = text
        job.save()
        keys.append(job.pk)
    return keys


def test_a_database_that_refuses_the_index_is_only_slower(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        name_index, "_EXISTS", dict.fromkeys(("sqlite", "postgresql"), "SELECT 1 WHERE 1 = 0")
    )
    monkeypatch.setattr(name_index, "_CREATE", {key: ["CREATE NOTHING"] for key in ("sqlite", "postgresql")})
    name_index.create(connection)
    assert not name_index.is_there()
    assert walk(table.team, JobFilter(name="it's"), 4)
    name_index.is_there.cache_clear()


def test_a_deleted_job_is_not_found_by_its_name(table: Table) -> None:
    job = next(job for job in table.jobs if len(job.name) > 2 and not job.attempts.all())
    key = job.pk
    Job.objects.filter(reused_from=job).update(reused_from=None)
    job.delete()
    with connection.cursor() as cursor:
        column = "rowid" if connection.vendor == "sqlite" else "job_id"
        cursor.execute(f"SELECT count(*) FROM jobs_names WHERE {column} = %s", [key])
        assert cursor.fetchone() == (0,)
    assert key not in walk(table.team, JobFilter(name=job.name), 4)


def test_a_changed_name_is_found_and_can_be_deleted(table: Table) -> None:
    """On SQLite, an index told to forget a name that it was never given calls the database malformed."""
    job = next(job for job in table.jobs if len(job.name) > 2 and not job.attempts.all())
    Job.objects.filter(reused_from=job).update(reused_from=None)
    Job.objects.filter(pk=job.pk).update(name='été "2".png')
    assert job.pk in walk(table.team, JobFilter(name="été"), 4)
    assert job.pk not in walk(table.team, JobFilter(name=job.name), 4)
    Job.objects.filter(pk=job.pk).delete()
    assert job.pk not in walk(table.team, JobFilter(name="été"), 4)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO jobs_names (jobs_names) VALUES ('integrity-check')")


def test_a_page_reads_few_of_the_candidates(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(keys: list[int], *more: Any) -> list[int]:
        read.append(len(keys))
        return scan.among(keys, *more)

    monkeypatch.setattr(filters, "among", counted)
    assert walk(table.team, JobFilter(name="nowhere", verdict=Verdict.RELEASED), 4) == []
    assert max(read) == filters.MAX_JUDGED // filters.APART


def test_figures_are_those_of_the_rows(table: Table) -> None:
    for wanted in (JobFilter(), JobFilter(test=False), JobFilter(name="photo"), JobFilter(person=0)):
        with mock.patch.multiple(filters, MAX_SCANNED=1000, MAX_JUDGED=1000):
            figures = facets.facets(table.team, wanted)
        jobs = list(plain(table, wanted))
        money = [books(job) for job in jobs]
        assert (figures.total, figures.more) == (len(jobs), False)
        assert figures.estimated == sum(each.estimated for each in money)
        assert figures.held == sum(each.held for each in money)
        assert figures.charged == sum(each.charged or 0 for each in money)
        assert figures.counts["state"].total() == len(jobs)
        for verdict in Verdict:
            expected = sum(each.verdict == verdict for each in money)
            assert figures.counts["verdict"][verdict.value] == expected, verdict


def test_figures_say_when_they_leave_some_out(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facets, "MAX_COUNTED", 5)
    figures = facets.facets(table.team, JobFilter())
    assert (figures.total, figures.more) == (5, True)
