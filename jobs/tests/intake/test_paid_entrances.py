"""Every way to spend credits moves the same pool and allowances, in any order of calls and charges."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import Standing
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Membership, Team, Transfer
from conftest import World, small_png
from jobs.batches import control
from jobs.models import Job
from jobs.queue import claims
from jobs.tests import browser
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.upstream import Server
from jobs.worker.run import process
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases

POOL, OF_BOB, OF_THE_KEY = 100 * CREDIT, 6 * CREDIT, 3 * CREDIT
PICTURE = small_png()  # a credit is held for it
CHARGES = ("0.25", "1", "1.75")


@dataclass(frozen=True)
class Site:
    """Bob in a browser, his key in a program, and a worker."""

    world: World
    page: Client
    program: Program
    server: Server

    def work(self) -> None:
        """Start what waits for credits, and process all that is queued."""
        control.start_kept()
        while job := claims.claim("test"):
            process(job, self.server.upstream, Backoff())

    def post(self, route: str, *args: Any, **data: Any) -> Any:
        return self.page.post(reverse(route, args=["aurora", *args]), data)


def by_plain_form(site: Site) -> None:
    site.post("upload", image=SimpleUploadedFile("a.png", PICTURE, "image/png"))
    site.work()


def in_a_batch(site: Site) -> None:
    assert browser.upload(site.page, PICTURE).status_code == 201
    site.work()


def again(site: Site) -> None:
    refuse_once(site)
    in_a_batch(site)
    for job in Job.objects.filter(state="failed"):
        site.post("again", job.pk)
    site.work()


def again_as_a_group(site: Site) -> None:
    refuse_once(site)
    in_a_batch(site)
    for job in Job.objects.filter(state="failed").select_related("batch"):
        assert job.batch
        control.retry(job.batch, job.created_by)
    site.work()


def by_gateway(site: Site) -> None:
    assert site.program.call(PICTURE).status_code in (200, 402)


def by_drop_in(site: Site) -> None:
    headers = {"X-Api-Key": site.program.credentials.api_key}
    with httpx.Client(base_url="http://localhost", transport=site.program.http._transport) as http:
        sent = http.post("/v1.0/removebg", files={"image_file": ("a.png", PICTURE)}, headers=headers)
    assert sent.status_code in (200, 402)


ENTRANCES: tuple[Callable[[Site], None], ...] = (
    by_plain_form,
    in_a_batch,
    again,
    again_as_a_group,
    by_gateway,
    by_drop_in,
)
BY_THE_KEY = (by_gateway, by_drop_in)


def refuse_once(site: Site) -> None:
    site.server.script.append(wire.error(400, 1000, "Not a picture"))


@pytest.fixture
def site(committed_world: World, program: Program, server: Server) -> Site:
    bob = Membership.objects.get(user=committed_world.bob, team=committed_world.team)
    allowances.grant(bob, limit=OF_BOB, period="month")
    allowances.grant(program.key, limit=OF_THE_KEY, period="month")
    page = Client()
    page.force_login(committed_world.bob)
    return Site(committed_world, page, program, server)


def standing(site: Site, *, of_the_key: bool) -> Standing:
    of_bob = allowances.spender_standings(site.world.team, site.world.bob, site.program.key)
    (found,) = [each for each in of_bob if (each.allowance.api_key_id is not None) == of_the_key]
    return found


def spent(team: Team, **by: Any) -> int:
    booked = Transfer.objects.filter(team=team, kind__in=Transfer.BOOKINGS, **by)
    return sum(booked.values_list("amount_microcredits", flat=True))


@pytest.mark.parametrize("entrance", ENTRANCES, ids=lambda entrance: entrance.__name__)
def test_a_call_moves_the_pool_and_the_allowances(site: Site, entrance: Callable[[Site], None]) -> None:
    site.server.otherwise = wire.answer(charged="0.75")
    entrance(site)
    assert ledger.balances(site.world.team) == Balances(POOL - 750_000, 0, 750_000, 0)
    assert standing(site, of_the_key=False).used == 750_000
    assert standing(site, of_the_key=True).used == (750_000 if entrance in BY_THE_KEY else 0)


@pytest.mark.parametrize("entrance", ENTRANCES, ids=lambda entrance: entrance.__name__)
def test_without_an_allowance_nothing_moves(site: Site, entrance: Callable[[Site], None]) -> None:
    bob = Membership.objects.get(user=site.world.bob, team=site.world.team)
    allowances.grant(bob, limit=0, period="month")
    before = Transfer.objects.count()
    entrance(site)
    assert (Transfer.objects.count(), site.server.calls) == (before, 0)
    assert ledger.balances(site.world.team) == Balances(POOL, 0, 0, 0)


def test_in_any_order_all_of_them_add_up(site: Site) -> None:
    """One account of the upstream, one pool, two allowances: after each call the four agree."""

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.sampled_from(ENTRANCES), st.sampled_from(CHARGES)), min_size=1, max_size=4))
    def agree(calls: list[tuple[Callable[[Site], None], str]]) -> None:
        for entrance, charge in calls:
            site.server.script.clear()
            site.server.otherwise = wire.answer(charged=charge)
            entrance(site)
            now, team = ledger.balances(site.world.team), site.world.team
            charged = sum(each.microcredits for each in site.server.charged)
            assert (now.spent, now.held, now.owed) == (charged, 0, 0)
            assert now.available == POOL - charged
            assert standing(site, of_the_key=False).used == spent(team, spender=site.world.bob) == charged
            assert standing(site, of_the_key=True).used == spent(team, api_key=site.program.key)

    agree()
    # Only a charge above its hold may go beyond a limit, and only the last one.
    most_above = int(0.75 * CREDIT)
    assert standing(site, of_the_key=False).used <= OF_BOB + most_above
    assert standing(site, of_the_key=True).used <= OF_THE_KEY + most_above
