"""The pages, and how long each takes."""

import argparse
import logging
import math
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import httpx
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.ledger import allowances
from accounts.models import CreditRequest, Invitation, Membership, Team, Transfer, User
from bench.speed.cpu import Cpu
from bench.speed.many_rows.fill import fill
from bench.speed.many_rows.owners import EMAIL, TEAM
from bench.speed.many_rows.queries import QUERIES
from jobs.models import Backdrop, Batch, Job, Preset, Recipe, Webhook
from pixian_web.wsgi import application
from tests.site.isolation.cast import Arguments, Things, things_of
from tests.site.isolation.routes import routes
from tests.site.isolation.rows import Row, row_of

AIM_MS = 100
SECONDS_EACH = 20
"""A page that is slow is asked for less often; twice at least."""

AWAY = ("admin:logout", "account_logout", "login_link", "leave_team")
HOST = "http://localhost"


@dataclass(frozen=True)
class Page:
    name: str
    address: str
    by_key: bool


@dataclass(frozen=True)
class Times:
    """Seconds until the first bytes of a streamed response, and of each other one until the last.

    of_cpu: those that processors worked, which a busy machine hardly stretches (``bench.speed.cpu``).
    """

    page: Page
    status: int
    seconds: list[float]
    of_cpu: list[float]
    streams: bool

    def percentile(self, percent: int) -> float:
        """Return milliseconds: the least time that so many percent of the requests didn't exceed."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[math.ceil(len(ordered) * percent / 100) - 1]

    def __str__(self) -> str:
        mark = "!" if self.percentile(95) > AIM_MS else " "
        first = ", first bytes" if self.streams else ""
        cpu = f"{1000 * median(self.of_cpu):8.0f} {1000 * min(self.of_cpu):8.0f}"
        times = f"{self.percentile(50):8.0f} {self.percentile(95):8.0f} {mark} {cpu}"
        return f"{times}  {self.page.name}{first}"


def measure(options: argparse.Namespace) -> None:
    logging.disable()  # of pages that refuse, which are listed at the end
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "localhost"]
    settings.API_CALLS_PER_KEY = settings.API_CALLS_PER_TEAM = 0
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    if not Job.objects.exists():
        fill(options.jobs)
    say(f"{connection.vendor}: {Job.objects.count():,} pictures, {Transfer.objects.count():,} transfers")
    say(f"     p50      p95        CPU    least  aim: {AIM_MS} ms")
    user = User.objects.get(email=EMAIL)
    things = big_things(Team.objects.get(name=TEAM), user)
    person, program = reader(user), client(auth=(things.credentials.api_id, things.credentials.api_secret))
    cpu = Cpu()
    found, left_out = [], []
    for page in pages(things):
        if options.only not in page.name:
            continue
        times = asked(program if page.by_key else person, page, options.repeats, cpu)
        if times.status == httpx.codes.OK:
            found.append(times)
            say(str(times))
        else:
            left_out.append(f"{page.name} {times.status}")
    say(f"not shown, since they answer otherwise: {', '.join(left_out) or 'none'}")
    above = [times for times in found if times.percentile(95) > AIM_MS]
    busy = [times for times in found if median(times.of_cpu) * 1000 > AIM_MS]
    say(
        f"R6 pages, {connection.vendor}: {len(found)} measured, "
        f"p95 of {len(above)} and the median of the CPU of {len(busy)} above {AIM_MS} ms"
    )


def big_things(team: Team, user: User) -> Things:
    """Return one thing of each kind, and the batch with the most pictures."""
    for model in (Invitation, Recipe, Preset, Backdrop, Webhook):  # of an earlier run
        model.objects.filter(team=team).delete()
    CreditRequest.objects.waiting().filter(team=team, batch=None).delete()
    allowances.lift(Membership.objects.get(team=team, user=user))
    newest = Job.objects.filter(team=team, batch__isnull=False).latest("pk")
    return replace(things_of(team, user), batch=Batch.objects.get(jobs=newest))


def reader(user: User) -> httpx.Client:
    """Return a client that is signed in; the user owns the team and is staff."""
    signing_in = Client()
    signing_in.force_login(user)
    return client(cookies={name: morsel.value for name, morsel in signing_in.cookies.items()})


def client(**more: Any) -> httpx.Client:
    transport = httpx.WSGITransport(app=application)
    return httpx.Client(base_url=HOST, transport=transport, **more)


def pages(things: Things) -> Iterator[Page]:
    """Yield each route that is read, with its variants."""
    middle = {
        "middle": Job.objects.latest("pk").pk // 2,
        "transfer": Transfer.objects.latest("pk").pk // 2,
        "batch": things.batch.pk,
        "person": things.member.user_id,
    }
    for name, pattern in routes().items():
        row = row_of(name)
        if row is None or row.method != "get" or name in AWAY:
            continue
        try:
            address = reverse(name, kwargs=arguments(name, pattern, row, things))
        except NoReverseMatch:
            continue  # the admin's and the API's nets for what isn't there
        yield Page(name, address, row.kind == "key")
        for query in QUERIES.get(name, ()):
            yield Page(f"{name} ?{query}", f"{address}?{query.format(**middle)}", row.kind == "key")


def arguments(name: str, pattern: str, row: Row, things: Things) -> Arguments:
    """Return what the address names: things of the team, or in the admin the newest of the model."""
    if admin := re.fullmatch(r"admin:([a-z]+)_([a-z]+)_(change|history|delete)", name):
        newest = apps.get_model(admin[1], admin[2])._default_manager.order_by("-pk").first()
        return {"object_id": str(newest.pk if newest else 0)}
    given = (row.of(things) if row.of else {}) | row.fixed
    return given | ({"team": things.team.slug} if "team>" in pattern else {})


def asked(client: httpx.Client, page: Page, repeats: int, cpu: Cpu) -> Times:
    seconds: list[float] = []
    of_cpu: list[float] = []
    while len(seconds) < repeats and (len(seconds) < 2 or sum(seconds) < SECONDS_EACH):
        busy, began = cpu.seconds(), time.perf_counter()
        with client.stream("GET", page.address) as response:
            streams = "Content-Length" not in response.headers
            chunks = response.iter_raw()
            next(chunks, b"")
            if not streams:
                for _ in chunks:
                    pass
        seconds.append(time.perf_counter() - began)
        of_cpu.append(cpu.seconds() - busy)
        if response.status_code != httpx.codes.OK:
            break
    return Times(page, response.status_code, seconds, of_cpu, streams)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
