"""The statements that an API call and a browser's picture cost, over all threads that take part.

Those that frame a transaction aren't counted. Each room's share is named, so that the room that needs fewer
lowers its own; the aim is 16 and 8. The process has made a call less than a second before. Otherwise it looks
for a free call, records that one began, and reads the prices for the hold and again to learn from the charge:
four more.
"""

from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from conftest import World
from jobs.models import Job
from jobs.tests import browser
from jobs.tests.api.programs import Program
from jobs.tests.statements import busy, recorded_statements
from jobs.tests.views.intake.test_workspace import file

pytestmark = pytest.mark.both_databases

KEY, RATE_LIMITS = 1, 1
SESSION_AND_USER, MEMBERSHIP = 2, 1
FILE, WAITING = 1, 2  # the file with its batch; if the batch is paused; if others of the person wait
SUBMISSION = 2  # the job and its attempt
HOLD, SETTLEMENT = 3, 3
FREE_CALL = 0  # the admission before has left some
ADMISSION = 1 + connection.features.has_select_for_update  # the ramp is locked by a statement of its own
EXECUTION = 4  # sent, answered; the job's and the attempt's end
USAGE = 1  # the booking is added to its day's; a charge of zero books nothing

API_CALL = KEY + RATE_LIMITS + FREE_CALL + SUBMISSION + HOLD + ADMISSION + EXECUTION + SETTLEMENT + USAGE
PICTURE = SESSION_AND_USER + MEMBERSHIP + FILE + WAITING + SUBMISSION + HOLD


@pytest.fixture(autouse=True)
def _is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(monkeypatch)


def listed(statements: list[str]) -> str:
    return "\n".join(statement[:150] for statement in statements)


def test_an_api_call(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the request to the last byte, which is sent once the call is booked."""
    for _ in range(2):  # its rate limits, ledger accounts and prices have rows then, and the prices are kept
        assert program.call().status_code == 200
    with recorded_statements(monkeypatch) as statements:
        assert program.call().status_code == 200
    assert Job.objects.filter(state="done").count() == 3
    assert len(statements) <= API_CALL, listed(statements)


def test_a_picture_from_the_browser(
    client: Client, committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = committed_world
    batch = uuid4()
    client.force_login(world.bob)
    assert browser.upload(client, batch=batch).status_code == 201
    second = browser.listing(2)
    browser.register(client, batch, second)
    with recorded_statements(monkeypatch) as statements:
        assert browser.send_file(client, batch, second["request_id"], file()).status_code == 201
    assert Job.objects.count() == 2
    assert len(statements) <= PICTURE, listed(statements)
