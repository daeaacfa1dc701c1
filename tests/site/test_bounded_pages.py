"""No page reads a whole table that grows with every picture, by what SQLite says of each of its queries."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.long_tables import Window
from accounts.models import Scope, Team, Transfer, User
from conftest import World, small_png
from jobs.models import Attempt, Job
from jobs.search import filters, name_index, pagination

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads small tables whole")

WHOLE = re.compile(r"SCAN (jobs_job|jobs_attempt|accounts_transfer)\b(?! USING)")
"""In one of SQLite's plans. With an index it may be the wanted order, and ends with the page."""

PAGES = (
    "/health/",
    "/staff/",
    "/staff/upstream/",
    "/staff/teams/",
    "/staff/people/",
    "/t/aurora/keys/",
    "/staff/review/",
    "/t/aurora/history/",
    "/t/aurora/history/?before=2",
    *(
        f"/t/aurora/history/{counts}?{query}"
        for counts in ("", "counts/")
        for query in (
            "name=photo",
            "name=ph",
            "name=nowhere&before=3",
            "state=failed",
            "state=done&origin=browser",
            "person=1",
            "key=none",
            "since=2026-01-01&until=2099-01-01",
            "test=yes",
            "test=no",
            "batch=00000000-0000-4000-8000-000000000000",
            "verdict=in_doubt",
            "verdict=open",
            "verdict=overage",
            "verdict=released",
            "verdict=mismatch",
            "verdict=matched&name=photo",
        )
    ),
    "/t/aurora/history.csv?name=photo",
    "/t/aurora/",
    "/t/aurora/credits/",
    "/t/aurora/credits/usage/?period=90",
    "/t/aurora/credits/statement/",
    "/t/aurora/credits/statement/?since=2026-01-01&until=2099-01-01",
    "/t/aurora/credits/statement/?person=1&since=2026-01-01",
    "/t/aurora/credits/statement/?kind=hold&before=9",
    "/t/aurora/credits/statement/?batch=00000000-0000-4000-8000-000000000000",
    "/t/aurora/review/",
    "/t/aurora/review/?kind=in_doubt",
    "/t/aurora/audit/",
    "/t/aurora/storage/",
    "/t/aurora/delete/",
    "/t/aurora/audit/?action=refund&who=alice",
    "/admin/jobs/job/",
    "/admin/jobs/job/?state__exact=in_doubt",
    "/admin/jobs/job/?reason__exact=refused&origin__exact=api&test__exact=1",
    "/admin/jobs/job/?q=photo",
    "/admin/jobs/job/?q=1",
    "/admin/jobs/job/?o=3&upto=2",
    "/admin/jobs/job/?team__id__exact={team}",
    "/admin/jobs/job/?team__id__exact=999999999",
    "/admin/jobs/job/?team__id__exact=x",
    "/admin/jobs/usageday/?team__id__exact={team}",
    "/admin/jobs/attempt/",
    "/admin/jobs/attempt/?review=yes",
    "/admin/jobs/attempt/?status=5xx&state__exact=sent",
    "/admin/jobs/attempt/?q=photo",
    "/admin/accounts/transfer/",
    "/admin/accounts/transfer/?kind__exact=grant&q=nothing",
    "/admin/accounts/transfer/?q=job:1:1",
    "/admin/accounts/transfer/?q=1",
    "/admin/accounts/transfer/?team__id__exact={team}",
    "/admin/accounts/transfer/?team__id__exact={team}&kind__exact=hold",
    "/admin/accounts/transfer/?team__id__exact={team}&o=3",
    "/admin/accounts/ledgeraccount/",
    "/admin/accounts/allowanceuse/",
    "/admin/accounts/membership/",
    "/api/jobs",
    "/api/jobs?state=failed",
    "/api/jobs?state=done&origin=api",
    "/api/jobs?name=photo&since=2026-01-01&until=2026-02-01",
    "/api/jobs?key=none",
    "/api/jobs?person=alice@example.org&test=false",
    "/api/jobs?verdict=open",
    "/api/jobs?batch=00000000-0000-4000-8000-000000000000",
    "/api/ledger",
    "/api/ledger?since=2026-01-01&before=9",
    "/api/balance",
    *(f"/api/usage?by={by}" for by in ("day", "member", "key", "origin")),
)


@pytest.fixture
def client_of(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a client that may ask for the page; there are a few rows, and the windows are smaller."""
    monkeypatch.setattr(Window, "rows", 2)
    monkeypatch.setattr(pagination, "MAX_SCANNED", 2)
    for name in ("MAX_SCANNED", "MAX_JUDGED", "FIRST_SCANNED", "FIRST_JUDGED"):
        monkeypatch.setattr(filters, name, 2)
    settings.API_CALLS_PER_KEY = settings.API_CALLS_PER_TEAM = 0
    for _ in range(4):
        world.job(small_png(9, 9))
    person = Client()
    person.force_login(User.objects.create_superuser("root@example.org"))
    owner = Client()
    owner.force_login(world.alice)
    key = keys.create(world.team, world.alice, "reads", scopes=list(Scope))[1]
    program = Client(headers={"Authorization": key.authorization})
    return lambda page: program if page.startswith("/api") else owner if page.startswith("/t/") else person


def whole_reads(queries: list[dict[str, str]]) -> list[str]:
    """Return the queries that read a table from end to end, by SQLite's own plan."""
    found = []
    with connection.cursor() as cursor:
        for sql in (query["sql"] for query in queries):
            if sql.startswith("SELECT"):
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}".replace("%", "%%"), [])
                plan = "\n".join(str(row[3]) for row in cursor.fetchall())
                found += [f"{sql}\n{plan}"] if WHOLE.search(plan) else []
    return found


def test_no_page_reads_a_whole_table(client_of: Any, world: World) -> None:
    found = {}
    for page in PAGES:
        with CaptureQueriesContext(connection) as queries:
            response = client_of(page).get(page.format(team=world.team.pk))
        assert response.status_code == 200, page
        if read := whole_reads(queries.captured_queries):
            found[page] = read
    assert found == {}


def test_a_count_of_all_would_be_seen(client_of: Any) -> None:
    """The control."""
    with CaptureQueriesContext(connection) as queries:
        assert not Transfer.objects.filter(memo="a hold").count()
        assert Job.objects.filter(name__icontains="photo").count()
    assert len(whole_reads(queries.captured_queries)) == 2


def test_the_admins_own_pages_of_one_row_are_bounded_too(client_of: Any, world: World) -> None:
    attempt = Attempt.objects.earliest("pk")
    rows: list[tuple[str, Any]] = [
        ("jobs/job", attempt.job_id),
        ("jobs/attempt", attempt.pk),
        ("accounts/transfer", attempt.hold_id),
        ("accounts/team", world.team.pk),
        ("accounts/user", world.alice.pk),
        ("accounts/ledgeraccount", world.team.ledger_accounts.earliest("pk").pk),
    ]
    for model, pk in rows:
        with CaptureQueriesContext(connection) as queries:
            response = client_of("/admin/").get(f"/admin/{model}/{pk}/change/")
        assert response.status_code == 200
        assert whole_reads(queries.captured_queries) == [], model
        assert len(queries) < 25, model


# And nothing is out of reach for it ---------------------------------------------------------------------


def test_the_admins_older_rows_are_a_step_away(client_of: Any) -> None:
    first, _second, third, fourth = Job.objects.order_by("pk").values_list("pk", flat=True)
    admin = client_of("/admin/")
    newest = admin.get("/admin/jobs/job/").content.decode()
    assert f"/admin/jobs/job/{fourth}/" in newest
    assert f"/admin/jobs/job/{third}/" in newest
    assert f"/admin/jobs/job/{first}/" not in newest
    assert f"?upto={fourth - 2}" in newest
    older = admin.get("/admin/jobs/job/", {"upto": fourth - 2}).content.decode()
    assert f"/admin/jobs/job/{first}/" in older
    assert f"/admin/jobs/job/{fourth}/" not in older
    assert f"/admin/jobs/job/{first}/" in admin.get("/admin/jobs/job/", {"q": first}).content.decode()


def test_a_transfer_is_found_by_its_reference_however_old(client_of: Any) -> None:
    first = Job.objects.earliest("pk")
    hold = first.last_attempt.hold
    assert hold
    page = client_of("/admin/").get("/admin/accounts/transfer/", {"q": hold.reference}).content.decode()
    assert f"/admin/accounts/transfer/{hold.pk}/" in page


def test_a_teams_rows_are_listed_however_old(client_of: Any, world: World) -> None:
    """Without a window, since an index has a team's rows in order; a search among them has one again."""
    oldest = world.team.transfers.earliest("pk")
    admin = client_of("/admin/")
    address = f"/admin/accounts/transfer/{oldest.pk}/"
    theirs = {"team__id__exact": world.team.pk}
    assert address in admin.get("/admin/accounts/transfer/", theirs).content.decode()
    assert address not in admin.get("/admin/accounts/transfer/", theirs | {"q": "e"}).content.decode()
    others = Team.objects.exclude(pk=world.team.pk).get()
    assert (
        address not in admin.get("/admin/accounts/transfer/", {"team__id__exact": others.pk}).content.decode()
    )


def test_what_waits_for_a_person_is_listed_however_old(client_of: Any) -> None:
    first = Attempt.objects.earliest("pk")
    Attempt.objects.filter(pk=first.pk).update(state="in_doubt")
    page = client_of("/admin/").get("/admin/jobs/attempt/", {"review": "yes"}).content.decode()
    assert f"/admin/jobs/attempt/{first.pk}/" in page


def test_a_search_goes_on_where_a_page_ended(client_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pages are empty as long as nothing matches, unless an index of names finds it at once."""
    monkeypatch.setattr(name_index, "is_there", lambda: False)
    first = Job.objects.earliest("pk")
    Job.objects.filter(pk=first.pk).update(name="needle.png")
    program = client_of("/api")
    page = program.get("/api/jobs", {"name": "needle"}).json()
    assert page["items"] == []
    page = program.get(page["next"]).json()
    assert [item["id"] for item in page["items"]] == [first.pk]
    while page["next"]:
        page = program.get(page["next"]).json()
        assert page["items"] == []
