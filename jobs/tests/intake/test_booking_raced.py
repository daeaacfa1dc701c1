"""An upload that waits behind the team's first allowance, from the browser to the ledger."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import AllowanceUse, Membership
from accounts.tests.ledger.test_allowances_raced import behind
from conftest import World, small_png
from jobs.audit.verify import run as verify
from jobs.models import Attempt
from jobs.tests import browser
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("charged", ["0.25", "1", "2"])
def test_it_is_counted_and_booked(committed_world: World, server: Server, charged: str) -> None:
    world = committed_world
    bob = Membership.objects.get(team=world.team, user=world.bob)
    client = Client(headers={"HX-Request": "true"})
    client.force_login(world.bob)
    batch, listed = browser.begin(client), browser.listing()
    browser.register(client, batch, listed)
    file = SimpleUploadedFile("photo.png", small_png(), "image/png")
    statuses: list[int] = []

    def drop() -> None:
        statuses.append(browser.send_file(client, batch, listed["request_id"], file).status_code)

    behind(lambda: allowances.grant(bob, limit=10 * CREDIT, period="month"), drop)
    assert statuses == [201]
    assert AllowanceUse.objects.get().used_microcredits == CREDIT

    server.script.append(wire.answer(charged=charged))
    assert run(server)[0].state == "done"
    spent = int(float(charged) * CREDIT)
    assert (Attempt.objects.get().state, AllowanceUse.objects.get().used_microcredits) == ("booked", spent)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT - spent, spent=spent)
    assert verify().findings == []
