"""The statement: lines in plain words, every filter by itself and together, and the files of all of it."""

import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import spreadsheet
from accounts.api_keys import keys
from accounts.credits import requests
from accounts.credits.requests import Decision
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import ApiKey, LedgerAccount, Team, Transfer, User
from accounts.teams import deletion
from accounts.tests.teams.team_pages import log_in, page, text
from conftest import World, hold_of, small_png
from jobs.audit import review
from jobs.models import Attempt, Job
from jobs.search import statement
from jobs.search.date_range import DateRange
from jobs.search.statement import StatementFilter

pytestmark = pytest.mark.both_databases

BATCH = UUID("22222222-0000-4000-8000-000000000000")
PICTURE = small_png()
FORMULA = '=HYPERLINK("http://example.org")'
DAY, LONG_AGO = date(2026, 11, 5), date(2020, 1, 1)


@pytest.fixture
def key(world: World) -> ApiKey:
    return keys.create(world.team, world.bob, "shop")[0]


@pytest.fixture
def story(world: World, key: ApiKey, monkeypatch: pytest.MonkeyPatch) -> World:
    """Spend on four days: a batch of alice's with an overage, bob's key, a call in doubt that alice decides.

    Then staff grant, correct and refund, and somebody else's team moves credits too.
    """
    begin = datetime(2026, 11, 4, 12, tzinfo=UTC)

    def on_day(number: int) -> None:
        monkeypatch.setattr(timezone, "now", lambda: begin + timedelta(days=number))

    on_day(0)
    first, second = (world.job(PICTURE, batch=BATCH, request_id=uuid4()) for _ in range(2))
    on_day(1)
    ledger.settle(hold_of(first.last_attempt), 250_003)
    ledger.settle(hold_of(second.last_attempt), 99 * CREDIT)
    ledger.grant(world.team, 50 * CREDIT, key="more", actor=root(), memo=FORMULA)
    on_day(2)
    held = [
        ledger.hold(world.team, CREDIT, key=f"k{n}", reference=f"job:{n}:1", actor=world.bob, api_key=key)
        for n in (7, 8)
    ]
    ledger.release(held[0])
    doubtful = world.job(PICTURE, user=world.bob)
    Attempt.objects.filter(job=doubtful).update(state=Attempt.State.IN_DOUBT)
    Job.objects.filter(pk=doubtful.pk).update(state=Job.State.IN_DOUBT)
    review.resolve(Attempt.objects.get(job=doubtful), CREDIT // 2, world.alice, "asked them")
    on_day(3)
    ledger.adjust(world.team, -CREDIT, key="down", actor=world.alice, memo="typed twice")
    ledger.refund(world.team, 5, key="back", reference=f"job:{first.pk}:1", actor=root(), memo="ugly")
    ledger.hold(world.team, CREDIT, key="last", reference="job:9:1", actor=world.alice)
    others = world.charlie.memberships.get().team
    ledger.hold(others, CREDIT, key="theirs", reference="job:1:1", actor=world.charlie)
    monkeypatch.undo()
    return world


def root() -> User:
    return User.objects.get_or_create(email="root@example.org", defaults={"is_staff": True})[0]


Matches = Callable[[World, Transfer], bool]


def in_batch(_world: World, row: Transfer) -> bool:
    jobs = set(Job.objects.filter(batch=BATCH).values_list("pk", flat=True))
    of_jobs = {f"job:{pk}:1" for pk in jobs}
    return row.reference in of_jobs and row.kind != "refund"  # which names the call, and isn't its ending


def by(name: str) -> Matches:
    def matches(world: World, row: Transfer) -> bool:
        user = User.objects.get(email=f"{name}@example.org")
        return user in (row.spender, row.actor)

    return matches


def on(first: date | None, last: date | None) -> Matches:
    def matches(_world: World, row: Transfer) -> bool:
        day = timezone.localtime(row.created_at).date()
        return (first is None or day >= first) and (last is None or day <= last)

    return matches


def of_kind(*kinds: str) -> Matches:
    return lambda _world, row: row.kind in kinds


def with_key(_world: World, row: Transfer) -> bool:
    return row.api_key_id is not None


def user(name: str) -> int:
    return int(User.objects.get(email=f"{name}@example.org").pk)


def shop() -> str:
    return ApiKey.objects.get(name="shop").api_id


FILTERS: dict[str, tuple[Callable[[], StatementFilter], list[Matches]]] = {
    "all": (StatementFilter, []),
    "spender": (lambda: StatementFilter(person=user("bob")), [by("bob")]),
    "spender and decider": (lambda: StatementFilter(person=user("alice")), [by("alice")]),
    "staff": (lambda: StatementFilter(person=user("root")), [by("root")]),
    "key": (lambda: StatementFilter(key=shop()), [with_key]),
    **{
        kind: (lambda kind=kind: StatementFilter(kind=kind), [of_kind(kind)])  # type: ignore[misc]
        for kind in Transfer.Kind.values
    },
    "batch": (lambda: StatementFilter(batch=BATCH), [in_batch]),
    "day": (lambda: StatementFilter(span=DateRange(DAY, DAY)), [on(DAY, DAY)]),
    "since": (lambda: StatementFilter(span=DateRange(DAY, None)), [on(DAY, None)]),
    "until": (lambda: StatementFilter(span=DateRange(None, DAY)), [on(None, DAY)]),
    "long ago": (
        lambda: StatementFilter(span=DateRange(None, date(2020, 1, 1))),
        [on(None, date(2020, 1, 1))],
    ),
    "person and kind": (
        lambda: StatementFilter(person=user("alice"), kind="settle"),
        [by("alice"), of_kind("settle")],
    ),
    "person and days": (
        lambda: StatementFilter(person=user("alice"), span=DateRange(DAY, DAY)),
        [by("alice"), on(DAY, DAY)],
    ),
    "key and kind": (lambda: StatementFilter(key=shop(), kind="release"), [with_key, of_kind("release")]),
    "key and person": (lambda: StatementFilter(key=shop(), person=user("alice")), [with_key, by("alice")]),
    "batch and kind": (lambda: StatementFilter(batch=BATCH, kind="adjust"), [in_batch, of_kind("adjust")]),
    "batch and person": (lambda: StatementFilter(batch=BATCH, person=user("bob")), [in_batch, by("bob")]),
}


def expected(world: World, matching: list[Matches]) -> list[Transfer]:
    rows = ledger.transfers(world.team).select_related("debit", "credit", "actor", "spender")
    return [row for row in rows if all(matches(world, row) for matches in matching)]


def read(team: Team, chosen: StatementFilter, size: int) -> Iterator[int]:
    before = None
    while True:
        shown = statement.page(team, chosen, before, size)
        assert len(shown.rows) <= size
        yield from (row.pk for row in shown.rows)
        before = shown.older
        if before is None:
            return


@pytest.mark.parametrize("scanned", [1, 20_000])
def test_each_filter_finds_exactly_what_matches(
    story: World, monkeypatch: pytest.MonkeyPatch, scanned: int
) -> None:
    """Read page by page; also if no page may scan more than a row."""
    monkeypatch.setattr(statement, "MAX_SCANNED", scanned)
    for name, (make, matching) in FILTERS.items():
        should = [row.pk for row in expected(story, matching)]
        assert list(read(story.team, make(), 2)) == should, name
        assert list(read(story.team, make(), 100)) == should, name


def test_the_sums_are_those_of_what_matches(story: World) -> None:
    available = LedgerAccount.Kind.AVAILABLE
    for name, (make, matching) in FILTERS.items():
        rows, sums = expected(story, matching), statement.sums(story.team, make())
        assert sums, name
        change = sum(
            row.amount_microcredits * ((row.credit.kind == available) - (row.debit.kind == available))
            for row in rows
        )
        charged = sum(row.amount_microcredits for row in rows if row.kind in Transfer.BOOKINGS)
        assert (sums.count, sums.change, sums.charged) == (len(rows), change, charged), name
        if name == "all":
            assert change == ledger.balances(story.team).available


def test_too_many_are_not_summed_up(story: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "SUMMED_AT_MOST", 3)
    assert statement.sums(story.team, StatementFilter()) is None
    shown = text(log_in(client, "vera").get(page(story, "statement"), {"kind": "hold"}))
    assert "too many to add up here" in shown


def test_days_are_summed_up_by_their_own_transfers(story: World, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = StatementFilter(span=DateRange(DAY, DAY))
    count = len(expected(story, [lambda _world, row: row.created_at.date() == DAY]))
    monkeypatch.setattr(statement, "SUMMED_AT_MOST", count)
    with CaptureQueriesContext(connection) as queries:
        sums = statement.sums(story.team, chosen)
    assert sums
    assert sums.count == count
    # Read in the order of keys: with days among its conditions, PostgreSQL would read and sort all of these.
    (sql,) = (query["sql"] for query in queries.captured_queries if "SUM(" in query["sql"])
    assert "created_at" not in sql.rpartition("WHERE")[2]
    monkeypatch.setattr(statement, "SUMMED_AT_MOST", count - 1)
    assert statement.sums(story.team, chosen) is None


def get(client: Client, world: World, name: str = "statement", **query: Any) -> Any:
    return client.get(page(world, name), query)


def test_a_line_says_who_what_why_and_what_was_left(story: World, client: Client, key: ApiKey) -> None:
    shown = text(get(log_in(client, "vera"), story))
    first = Job.objects.filter(batch=BATCH).earliest("pk")
    for part in (
        f'<a href="{page(story, "job", first.pk)}"> photo.png </a>',
        "Charged 0.25, out of what was held",
        "decided by alice@example.org",
        "asked them",
        f'by the key <a href="?key={key.api_id}">shop</a>',
        f'<a href="?person={story.bob.pk}">bob@example.org</a>',
        "typed twice",
        "Opening credits",
    ):
        assert part in shown, part
    for row in ledger.transfers(story.team):
        assert f'title="{row.available_microcredits / CREDIT:.6f}'.rstrip("0").rstrip(".") in shown


def test_it_is_paged_and_keeps_its_filters(
    story: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.views.credits.statement.PAGE", 2)
    shown = text(get(log_in(client, "vera"), story, person=story.bob.pk))
    third = list(ledger.transfers(story.team).filter(spender=story.bob))[1]
    assert f'?person={story.bob.pk}&amp;before={third.pk}">Older' in shown
    assert f'statement.csv?person={story.bob.pk}"' in shown
    older = text(get(client, story, person=story.bob.pk, before=third.pk))
    assert f'<a href="?person={story.bob.pk}">Newest</a>' in older


def test_who_left_can_still_be_chosen(story: World, client: Client) -> None:
    story.team.memberships.filter(user=story.alice).delete()
    shown = text(get(log_in(client, "vera"), story, person=story.alice.pk))
    assert f'<option value="{story.alice.pk}" selected>alice@example.org</option>' in shown


UNREADABLE: list[dict[str, str]] = [
    {"since": "2026-11-06", "until": "2026-11-05"},
    {"since": "05/11/2026"},
    {"person": "bob"},
    {"person": str(2**63)},
    {"kind": "gift"},
    {"batch": "7"},
    {"key": "a\0"},
    {"before": "-1"},
]


def test_what_cannot_be_read_is_refused(story: World, client: Client) -> None:
    log_in(client, "vera")
    for query in UNREADABLE:
        response = get(client, story, **query)
        assert response.status_code == 400, query
        assert "<td" not in text(response), query
        for name in ("statement_csv", "statement_json"):
            assert get(client, story, name, **query).status_code == 400, query


def test_days_out_of_order_are_told_beside_them(story: World, client: Client) -> None:
    shown = text(get(log_in(client, "vera"), story, since="2026-11-06", until="2026-11-05"))
    assert "The last day comes before the first one." in shown
    assert 'value="2026-11-06"' in shown


@pytest.mark.parametrize("mine", [True, False])
def test_another_teams_things_find_as_little_as_none(story: World, client: Client, mine: bool) -> None:
    others = story.charlie.memberships.get().team
    theirs: dict[str, Any] = {
        "person": story.charlie.pk if mine else 10**9,
        "key": keys.create(others, story.charlie, "x")[0].api_id if mine else "nothing",
        "batch": uuid4(),
    }
    log_in(client, "vera")
    for name, value in theirs.items():
        shown = text(get(client, story, **{name: value}))
        assert "No movement matches" in shown
        assert "charlie" not in shown


def test_staff_read_it_without_being_in_the_team(story: World, client: Client) -> None:
    client.force_login(root())
    shown = text(get(client, story))
    assert "Charged 0.25" in shown
    assert f'href="{page(story, "job", Job.objects.earliest("pk").pk)}"' not in shown


def content(response: Any) -> bytes:
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def rows_of_csv(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content(response).decode("utf-8-sig"), newline="")))


def test_the_files_have_every_line_in_full(
    story: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement, "AT_ONCE", 3)
    log_in(client, "vera")
    as_csv = rows_of_csv(get(client, story, "statement_csv"))
    as_json = json.loads(content(get(client, story, "statement_json")))
    rows = list(ledger.transfers(story.team))
    assert [line["id"] for line in as_json] == [row.pk for row in rows]
    assert [int(line["id"]) for line in as_csv] == [row.pk for row in rows]
    assert "0.250003" in {line["amount"] for line in as_csv}
    assert {line["change"] for line in as_json} >= {"-1", "0.000005", "50"}
    for line in (*as_csv, *as_json):
        assert datetime.fromisoformat(line["at"]).tzinfo
    granted = next(line for line in as_csv if line["kind"] == "grant")
    assert granted["memo"] == f"'{FORMULA}"
    assert next(line for line in as_json if line["kind"] == "grant")["memo"] == FORMULA
    assert {line["picture"] for line in as_json} == {None, "photo.png"}


def test_the_files_name_who_asked_without_a_note_even_once_deleted(story: World, client: Client) -> None:
    asked = requests.ask(story.team, story.bob, CREDIT)
    requests.decide(asked, Decision(CREDIT), root())
    before = requests.ask(story.team, story.bob, CREDIT)
    ledger.grant(story.team, CREDIT, key=f"request:{before.pk}", memo="bob@example.org")
    deletion.delete_person(story.bob, story.bob)
    story.bob.refresh_from_db()
    client.force_login(root())
    files = content(get(client, story, "statement_csv")), content(get(client, story, "statement_json"))
    assert b"bob@example.org" not in b"".join(files)
    assert [line["memo"] for line in json.loads(files[1])[:2]] == [story.bob.email] * 2


def test_a_file_is_what_was_filtered(story: World, client: Client) -> None:
    log_in(client, "vera")
    assert {line["kind"] for line in rows_of_csv(get(client, story, "statement_csv", kind="hold"))} == {
        "hold"
    }
    nothing = get(client, story, "statement_json", kind="overage", person=story.bob.pk)
    assert json.loads(content(nothing)) == []


def fill(team: Team, count: int) -> None:
    available, held = (LedgerAccount.objects.get(team=team, kind=kind) for kind in ("available", "held"))
    begin = Transfer.objects.latest("pk").pk
    Transfer.objects.bulk_create(
        Transfer(
            debit=available,
            credit=held,
            amount_microcredits=1,
            kind="hold",
            idempotency_key=f"fill:{begin}:{number}",
            reference=f"job:{number}:1",
            team=team,
            available_microcredits=0,
        )
        for number in range(count)
    )


@pytest.mark.parametrize("name", ["statement_csv", "statement_json"])
def test_ten_times_the_rows_take_no_more_memory(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(statement, "AT_ONCE", 100)
    monkeypatch.setattr(spreadsheet, "BLOCK", 4096)  # so that few rows are several blocks too
    log_in(client, "vera")

    def peak() -> int:
        tracemalloc.start()
        response = get(client, world, name)
        for _chunk in response.streaming_content:
            pass
        (_current, highest) = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    fill(world.team, 250)
    peak()  # with what a first request loads
    few = peak()
    fill(world.team, 2250)
    assert peak() < 1.5 * few
