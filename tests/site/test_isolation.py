"""E13: whoever isn't in a team can't tell it from one that doesn't exist, on any route there is."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.models import Membership
from accounts.teams.permissions import enter
from conftest import World
from jobs.models import Job
from jobs.tests.api.programs import program_with
from jobs.views import pictures
from tests.site.isolation.cast import READERS, ROLES, Arguments, Cast, gathered
from tests.site.isolation.routes import routes
from tests.site.isolation.rows import PREFIXES, ROWS, Row, row_of

ROUTES = routes()
TOKEN = re.compile(rb'(csrfmiddlewaretoken" value="|csrf[^"]{0,20}"[^"]{0,20}")[A-Za-z0-9]+')
NOWHERE = "no-such-team"


def of_kind(kind: str) -> list[str]:
    return [name for name in ROUTES if (row := row_of(name)) and row.kind == kind]


@pytest.fixture
def cast(world: World) -> Cast:
    return gathered(world)


def client_of(cast: Cast, reader: str) -> Client:
    client = Client()
    if user := cast.people[reader]:
        client.force_login(user)
    return client


Browsers = Callable[[str], Client]


def browsers_of(cast: Cast) -> Browsers:
    """Sign everybody in once; return how to get a reader's browser without what earlier pages left in it."""
    signed_in = {reader: client_of(cast, reader).cookies for reader in READERS}

    def browser(reader: str) -> Client:
        client = Client()
        client.cookies.update(signed_in[reader])
        return client

    return browser


@contextmanager
def taken_back() -> Iterator[None]:
    """Take back what a page changes, so that the next one finds the cast as it was."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(client: Client, name: str, row: Row, arguments: Arguments) -> tuple[int, bytes]:
    """Return status and body, without what differs each time."""
    response = getattr(client, row.method)(reverse(name, kwargs=arguments))
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return response.status_code, TOKEN.sub(b"", body)


def rows_of_all_tables() -> dict[str, int]:
    """Count them all by one query, since this is asked for hundreds of times."""
    tables = [model._meta.db_table for model in apps.get_models() if model is not Session]
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"(SELECT COUNT(*) FROM {table})" for table in tables))
        return dict(zip(tables, cursor.fetchone(), strict=True))


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    without = [f"{name} ({pattern})" for name, pattern in ROUTES.items() if row_of(name) is None]
    assert without == [], "add a row for each of these to tests/site/isolation/rows.py"
    assert [name for name in ROWS if name not in ROUTES] == []
    assert [start for start in PREFIXES if not any(name.startswith(start) for name in ROUTES)] == []


def targets(cast: Cast, row: Row) -> dict[str, Arguments]:
    """Return what to ask for: the user's own, another team's, and what doesn't exist."""
    own, foreign = cast.own, cast.foreign
    made = {
        "own": {"team": own.team.slug} | row.fixed,
        "foreign": {"team": foreign.team.slug} | row.fixed,
        "missing": {"team": NOWHERE} | row.fixed,
    }
    if row.of:
        made["own"] |= row.of(own)
        made["foreign"] |= row.of(foreign)
        made["missing"] |= row.missing
        made["foreign thing"] = made["own"] | row.of(foreign)
        made["missing thing"] = made["own"] | row.missing
    return made


TEAM_PAGES = of_kind("team")
LEAST = sorted({ROWS[name].least for name in TEAM_PAGES})


@pytest.mark.parametrize("least", LEAST)
def test_a_teams_page_is_its_members_alone(cast: Cast, least: int) -> None:
    """All pages that need the same role are asked for among the same people."""
    browsers = browsers_of(cast)
    for name in TEAM_PAGES:
        if ROWS[name].least == least:
            with taken_back():
                check_team_page(cast, browsers, name)


def decisive(row: Row) -> set[str]:
    """Return the readers who tell apart what isn't theirs as any other would.

    Of those that a page lets in, these are the lowest role and the owner; of the others, the highest role.
    """
    let_in = [reader for reader in ROLES if ROLES[reader] >= row.least]
    refused = [reader for reader in ROLES if ROLES[reader] < row.least]
    return {"anonymous", "outsider", *refused[-1:], *let_in[:1], "owner", "staff"}


def check_team_page(cast: Cast, browsers: Browsers, name: str) -> None:
    row = ROWS[name]
    asked = targets(cast, row)
    for reader in READERS:
        client = browsers(reader)
        before = rows_of_all_tables()
        # The outsider owns the foreign team.
        skipped = ("own", "foreign") if reader == "outsider" else ("own",)
        others = {what: arguments for what, arguments in asked.items() if what not in skipped}
        if reader not in decisive(row):
            others = {}
        answers = {what: ask(client, name, row, arguments) for what, arguments in others.items()}
        expected = 302 if reader == "anonymous" else 404
        if reader == "staff" and row.staff != (404,):
            check_staff(client, name, row, asked)
            continue
        refused = reader in ROLES and ROLES[reader] < row.least
        for what, (status, _) in answers.items():
            of_own_team = what.endswith("thing") and reader in ROLES
            there = row.nothing if of_own_team else expected
            assert status == (403 if refused and of_own_team else there), (name, reader, what)
        if others and reader != "outsider" and reader != "anonymous":
            assert answers["foreign"] == answers["missing"], (name, reader)
        if others and row.of and reader in ROLES:
            assert answers["foreign thing"] == answers["missing thing"], (name, reader)
        if reader not in ROLES or refused:
            status = ask(client, name, row, asked["own"])[0]
            assert status == (403 if refused else expected), (name, reader)
            assert rows_of_all_tables() == before, (name, reader)
        else:
            assert ask(client, name, row, asked["own"])[0] in row.good, (name, reader)


def check_staff(client: Client, name: str, row: Row, asked: dict[str, Arguments]) -> None:
    """Staff get a team's page though they aren't in it, and nothing by one team's address of another's."""
    for what, arguments in asked.items():
        status = ask(client, name, row, arguments)[0]
        assert (status == 404) if what.endswith("thing") or what == "missing" else (status in row.staff), what


def test_a_persons_page_asks_for_a_log_in(cast: Cast) -> None:
    browsers = browsers_of(cast)
    for name in of_kind("signed_in"):
        row = row_of(name)
        assert row
        with taken_back():
            assert ask(browsers("anonymous"), name, row, row.fixed)[0] == 302
            for reader in READERS[1:]:
                assert ask(browsers(reader), name, row, row.fixed)[0] in row.good, (name, reader)


def test_staffs_pages_are_staffs(cast: Cast) -> None:
    # A role in a team is nothing here; the owner stands for all.
    for reader in ("anonymous", "outsider", "owner"):
        client = client_of(cast, reader)
        for name in (name for name in of_kind("staff") if "<" not in name and "?P" not in name):
            response = client.get(address_of(name))
            assert response.status_code in (302, 404), (name, reader)
            assert "login" in response.headers.get("Location", "login"), (name, reader)
    assert client_of(cast, "staff").get(reverse("admin:index")).status_code == 200


def test_public_pages_show_strangers_no_team(cast: Cast) -> None:
    client = client_of(cast, "anonymous")
    for name in of_kind("public"):
        response = client.get(address_of(name))
        row = row_of(name)
        assert response.status_code < 500 or (row and response.status_code in row.good), name
        assert cast.own.team.name.encode() not in response.content, name


def address_of(name: str) -> str:
    """Return the address of a page that names no team, with any arguments.

    Patterns that can't be reversed are those by which the admin and the API catch unknown addresses.
    """
    row = row_of(name)
    made = {"object_id": "1", "content_type_id": 1, "app_label": "jobs", "url": "x", "key": "x"}
    given = made | {"pk": 1, "id": 1, "uidb36": "1"} | (row.fixed if row else {})
    wanted = re.findall(r"<(?:\w+:)?(\w+)>", ROUTES[name])
    try:
        return reverse(name, kwargs={argument: given[argument] for argument in wanted})
    except NoReverseMatch:
        return "/api/nothing-here"


def test_programs_need_a_key_of_their_own_team(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session opens nothing; a key sees its own team's things, and another's as missing."""
    # The server would close a connection that is inside a transaction.
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)
    browsers = browsers_of(cast)
    for name in of_kind("key"):
        with taken_back():
            check_key_route(cast, browsers, name)


def check_key_route(cast: Cast, browsers: Browsers, name: str) -> None:
    row = ROWS[name]
    own, foreign = row.of(cast.own) if row.of else {}, row.of(cast.foreign) if row.of else {}
    for reader in READERS:
        http = program_with(None, {key: morsel.value for key, morsel in browsers(reader).cookies.items()})
        assert http.request(row.method, reverse(name, kwargs=own)).status_code in (401, 403), (name, reader)
    if not row.of:
        return
    http = program_with(cast.own.credentials)
    assert http.request(row.method, reverse(name, kwargs=own)).status_code in row.good
    others = http.request(row.method, reverse(name, kwargs=foreign))
    nothing = http.request(row.method, reverse(name, kwargs=row.missing))
    assert (others.status_code, others.content) == (nothing.status_code, nothing.content)
    assert others.status_code == 404


def test_a_missing_team_filter_is_found(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a view that looks for the job alone."""
    monkeypatch.setattr(pictures, "_job", lambda _request, _team, pk: Job.objects.get(pk=pk))
    with pytest.raises((AssertionError, Job.DoesNotExist)):
        check_team_page(cast, browsers_of(cast), "download")


def test_a_missing_gate_is_found(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: whoever is in any team is let into this one."""

    def let_in(request: Any, slug: str, at_least: Any = None) -> Membership:
        member = Membership.objects.filter(user=request.user.pk).first() or Membership.objects.first()
        assert member
        return member

    assert enter is not let_in
    monkeypatch.setattr("jobs.views.history.history.enter", let_in)
    with pytest.raises(AssertionError):
        check_team_page(cast, browsers_of(cast), "history")
