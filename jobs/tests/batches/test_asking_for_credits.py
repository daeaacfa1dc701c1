"""The story of 60 photos and credit for 27: ask, a grant from another browser, and the rest starts."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS
from accounts.models import CreditRequest, User
from accounts.tests.teams.team_pages import log_in, page, text, told
from conftest import World, small_png
from jobs.models import Job
from jobs.storage.interruptible import keep_going
from jobs.tests.browser import begin, listing, register, send_file
from jobs.worker import background

pytestmark = pytest.mark.both_databases

PHOTOS, FIT = 60, 27
PIXELS = 10 * 10


def states() -> dict[str, int]:
    return {state: Job.objects.filter(state=state).count() for state in ("queued", "kept")}


def test_what_waits_for_credits_starts_once_they_are_granted(committed_world: World) -> None:
    world = committed_world
    bob, root = log_in(Client(), "bob"), Client()
    root.force_login(User.objects.create_user("root@example.org", is_staff=True))
    has = ledger.balances(world.team).available
    ledger.adjust(world.team, FIT * PIXELS - has, key="poor", actor=world.alice, memo="for some photos")

    batch, png = begin(bob), small_png(10, 10)
    files = [listing(number) for number in range(1, PHOTOS + 1)]
    register(bob, batch, *files)
    for file in files:
        sent = send_file(bob, batch, file["request_id"], SimpleUploadedFile(file["name"], png, "image/png"))
        assert sent.status_code == 201
    assert states() == {"queued": FIT, "kept": PHOTOS - FIT}
    assert background.run_once("credits", keep_going) == 0

    missing = {"credits": "0.0033", "batch": batch, "note": "the rest of the shoes"}
    bob.post(page(world, "ask_for_credits"), missing)
    asked = CreditRequest.objects.get()
    assert "the rest of the shoes" in text(root.get(page(world, "credits")))
    decided = root.post(page(world, "decide_request", asked.pk), {"credits": "0.0033"}, follow=True)
    assert "start by themselves" in told(decided)

    assert background.run_once("credits", keep_going) == PHOTOS - FIT
    assert states() == {"queued": PHOTOS, "kept": 0}
    assert ledger.balances(world.team).available == 0


def test_a_smaller_grant_starts_as_many_as_it_goes_for(committed_world: World, client: Client) -> None:
    world = committed_world
    has = ledger.balances(world.team).available
    ledger.adjust(world.team, -has, key="poor", actor=world.alice, memo="nothing left")
    log_in(client, "bob")
    batch = begin(client)
    files = [listing(number) for number in range(1, 11)]
    register(client, batch, *files)
    for file in files:
        picture = SimpleUploadedFile(file["name"], small_png(10, 10), "image/png")
        send_file(client, batch, file["request_id"], picture)
    client.post(page(world, "ask_for_credits"), {"credits": "0.001", "batch": batch})
    client.force_login(User.objects.create_user("root@example.org", is_staff=True))
    client.post(page(world, "decide_request", CreditRequest.objects.get().pk), {"credits": "0.00035"})
    background.run_once("credits", keep_going)
    started = Job.objects.filter(state="queued").values_list("number", flat=True)
    assert sorted(started) == [1, 2, 3]
    assert states()["kept"] == 7


def test_within_the_pool_the_rest_starts_as_far_as_the_raise_goes(
    committed_world: World, client: Client
) -> None:
    world = committed_world
    bob = world.team.memberships.get(user=world.bob)
    allowances.grant(bob, limit=4 * PIXELS, period="month")
    log_in(client, "bob")
    batch = begin(client)
    files = [listing(number) for number in range(1, 11)]
    register(client, batch, *files)
    for file in files:
        picture = SimpleUploadedFile(file["name"], small_png(10, 10), "image/png")
        send_file(client, batch, file["request_id"], picture)
    assert states() == {"queued": 4, "kept": 6}
    assert background.run_once("credits", keep_going) == 0
    client.post(page(world, "ask_for_credits"), {"credits": "0.0006", "batch": batch})
    asked = CreditRequest.objects.get()
    log_in(client, "alice").post(page(world, "decide_request", asked.pk), {"credits": "0.0005"})
    assert background.run_once("credits", keep_going) == 5
    assert states() == {"queued": 9, "kept": 1}
    assert ledger.balances(world.team).available == 100 * MICROCREDITS - 9 * PIXELS
