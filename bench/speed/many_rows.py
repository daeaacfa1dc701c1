"""``python -m bench.speed.many_rows [--jobs 1200000]``: each page on a database that years have filled.

Fills the database of the settings (an empty one: ``DATA_DIR`` or ``DATABASE_URL`` names it) with jobs, their
attempts and the ledger's lines, then asks for each page a few times and prints the median. On a database that
is filled already it only asks.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

import django
from django.core.management import call_command

django.setup()  # before anything that defines or reads a model is imported

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from accounts.api_keys import keys  # noqa: E402
from accounts.models import LedgerAccount, Scope, Team, Transfer, User  # noqa: E402
from accounts.teams.create import open_team  # noqa: E402
from bench.speed.many_rows_sql import ATTEMPTS, HOLDS, JOBS, SETTLES  # noqa: E402
from jobs.models import Job  # noqa: E402
from pixian.protocol.credentials import Credentials  # noqa: E402

CREDIT = 1_000_000
EMAIL = "bench@example.org"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.many_rows", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_200_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(arguments)
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
    settings.API_CALLS_PER_KEY = settings.API_CALLS_PER_TEAM = 0
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    call_command("migrate", verbosity=0)
    if not Job.objects.exists():
        fill(given.jobs)
    sys.stdout.write(
        f"{connection.vendor}, {Job.objects.count():,} jobs, {Transfer.objects.count():,} transfers\n"
    )
    ask(given.repeats)
    return 0


def fill(jobs: int) -> None:
    """Straight into the tables, by the database itself."""
    began = time.perf_counter()
    user = User.objects.create_superuser(EMAIL, "x")
    team, other = (open_team(name, user, 10**13) for name in ("Bench", "Others"))
    key = keys.create(team, user, "shop", scopes=list(Scope))[0]
    told = {"jobs": jobs, "team": team.pk, "other": other.pk, "user": user.pk, "key": key.pk}
    told |= {account.kind: account.pk for account in LedgerAccount.objects.filter(team=team)}
    told |= {f"other_{account.kind}": account.pk for account in LedgerAccount.objects.filter(team=other)}
    told |= {"base": Transfer.objects.latest("pk").pk}
    own = {name: text.format(jobs=jobs) for name, text in OWN[connection.vendor].items()}
    for statement in (JOBS, HOLDS, SETTLES, ATTEMPTS):
        with connection.cursor() as cursor:
            cursor.execute(statement.format(**told, **own))
    if connection.vendor == "postgresql":  # which does it by itself, in a while
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    sys.stdout.write(f"filled in {time.perf_counter() - began:.0f} s\n")


OWN = {
    "sqlite": {
        "at": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || (({jobs} - i) * 30) || ' seconds')",
        "sha": "printf('%064x', i)",
        "request": "printf('%032x', i)",
        "batch": "printf('%032x', i / 20)",
    },
    "postgresql": {
        "at": "now() - ({jobs} - i) * interval '30 seconds'",
        "sha": "lpad(to_hex(i), 64, '0')",
        "request": "lpad(to_hex(i), 32, '0')::uuid",
        "batch": "lpad(to_hex(i / 20), 32, '0')::uuid",
    },
}
"""Their own words. A job comes every half a minute: 1.2 million are a year and two months."""


def pages() -> Iterator[tuple[str, str]]:
    """Each page that lists or sums, by its address; programs' begin with /api."""
    newest = Job.objects.select_related("team").filter(team__name="Bench").latest("pk")
    team, batch, job = newest.team.slug, newest.batch, newest.pk
    yield from (("health", "/health/"), ("history", f"/t/{team}/history/"), ("job", f"/t/{team}/jobs/{job}/"))
    yield from (
        ("history, page 10,000", f"/t/{team}/history/?before={job // 2}"),
        ("workspace", f"/t/{team}/?batch={batch}"),
    )
    for query in QUERIES:
        yield f"REST jobs {query}", f"/api/jobs{query}"
    for query in ("", "?since=2026-06-01&until=2026-06-01", "?since=2020-01-01"):
        yield f"REST ledger {query}", f"/api/ledger{query}"
    yield "REST balance", "/api/balance"
    for by in ("day", "member", "key", "origin"):
        yield f"REST usage by {by}", f"/api/usage?by={by}"
    for model, queries in ADMIN.items():
        for query in queries:
            yield f"admin {model} {query}", f"/admin/{model}/{query}"


QUERIES = (
    "",
    "?state=failed",
    "?state=in_doubt",
    "?origin=drop_in",
    "?name=photo-77.",
    "?name=nowhere",
    "?since=2026-11-01",
    "?since=2026-06-01&until=2026-06-01",
    "?state=failed&name=nowhere",
    "?key=none",
)
ADMIN = {
    "jobs/job": (
        "",
        "?p=50",
        "?state__exact=in_doubt",
        "?reason__exact=refused",
        "?origin__exact=drop_in",
        "?test__exact=1",
        "?team__id__exact=2",
        "?q=photo-77.",
        "?q=nowhere",
    ),
    "jobs/attempt": (
        "",
        "?review=yes",
        "?state__exact=in_doubt",
        "?status=5xx",
        "?q=77",
        "?q=nowhere",
    ),
    "accounts/transfer": ("", "?kind__exact=grant", "?kind__exact=overage", "?q=job:77:1", "?q=nowhere"),
    "accounts/ledgeraccount": ("",),
}


def ask(repeats: int) -> None:
    user = User.objects.get(email=EMAIL)
    person = Client()
    person.force_login(user)
    program = Client(headers={"Authorization": credentials(user).authorization})
    for name, address in pages():
        client = program if address.startswith("/api") else person
        times = [timed(client, address) for _ in range(repeats)]
        sys.stdout.write(f"{1000 * median(t for t, _ in times):8.0f} ms  {times[0][1]}  {name}\n")
        sys.stdout.flush()


def timed(client: Client, address: str) -> tuple[float, int]:
    began = time.perf_counter()
    response = client.get(address, follow=False)
    list(response)  # whole, where it is streamed
    return time.perf_counter() - began, response.status_code


def credentials(user: User) -> Credentials:
    return keys.create(Team.objects.get(name="Bench"), user, "asks", scopes=list(Scope))[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
