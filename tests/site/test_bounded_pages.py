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
from accounts.models import Scope, Transfer, User
from conftest import World, small_png
from jobs.models import Attempt, Job
from jobs.search import pagination
from pixian_web.health import components

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads small tables whole")

WHOLE = re.compile(r"SCAN (jobs_job|jobs_attempt|accounts_transfer)\b(?! USING)")
"""In one of SQLite's plans. With an index it may be the wanted order, and ends with the page."""

PAGES = (
    "/health/",
    "/t/aurora/history/",
    "/t/aurora/history/?before=2",
    "/t/aurora/",
    "/t/aurora/credits/",
    "/admin/jobs/job/",
    "/admin/jobs/job/?state__exact=in_doubt",
    "/admin/jobs/job/?reason__exact=refused&origin__exact=api&test__exact=1",
    "/admin/jobs/job/?q=photo",
    "/admin/jobs/job/?q=1",
    "/admin/jobs/job/?o=3&upto=2",
    "/admin/jobs/attempt/",
    "/admin/jobs/attempt/?review=yes",
    "/admin/jobs/attempt/?status=5xx&state__exact=sent",
    "/admin/jobs/attempt/?q=photo",
    "/admin/accounts/transfer/",
    "/admin/accounts/transfer/?kind__exact=grant&q=nothing",
    "/admin/accounts/transfer/?q=job:1:1",
    "/api/jobs",
    "/api/jobs?state=failed",
    "/api/jobs?state=done&origin=api",
    "/api/jobs?name=photo&since=2026-01-01&until=2026-02-01",
    "/api/jobs?key=none",
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
    monkeypatch.setattr(components, "upstream_account", lambda: (True, ""))
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


@pytest.mark.parametrize("page", PAGES)
def test_no_page_reads_a_whole_table(client_of: Any, page: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        response = client_of(page).get(page)
    assert response.status_code == 200
    assert whole_reads(queries.captured_queries) == []


def test_a_count_of_all_would_be_seen(client_of: Any) -> None:
    """The control."""
    with CaptureQueriesContext(connection) as queries:
        assert Transfer.objects.filter(kind="hold").count()
        assert Job.objects.filter(name__icontains="photo").count()
    assert len(whole_reads(queries.captured_queries)) == 2


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


def test_what_waits_for_a_person_is_listed_however_old(client_of: Any) -> None:
    first = Attempt.objects.earliest("pk")
    Attempt.objects.filter(pk=first.pk).update(state="in_doubt")
    page = client_of("/admin/").get("/admin/jobs/attempt/", {"review": "yes"}).content.decode()
    assert f"/admin/jobs/attempt/{first.pk}/" in page


def test_a_search_goes_on_where_a_page_ended(client_of: Any) -> None:
    """Its pages are empty as long as nothing matches."""
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
