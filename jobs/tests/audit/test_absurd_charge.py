"""A story: a charge that can't be right, from the alarm to the settled case."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import AuditEntry, User
from accounts.tests.teams.team_pages import page, text
from conftest import World
from jobs.audit import balance_snapshots, verify
from jobs.audit.reconcile import account
from jobs.audit.reconcile.periods import Outcome
from jobs.models import Attempt, Job, Price
from jobs.search.date_range import DateRange
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from pixian_web.health import components

pytestmark = pytest.mark.both_databases


def balance(server: Server, credits_: str) -> None:
    """Let the account endpoint state this balance, and record it."""
    body = f'{{"credits": {credits_}, "creditPack": "none", "state": "active"}}'
    server.account_body = body.encode()
    assert balance_snapshots.take(server.upstream)


def test_500_credits_for_a_picture_of_one(
    world: World,
    client: Client,
    server: Server,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.PIXIAN_API_URL, settings.PIXIAN_EMBEDDED = server.url, False
    monkeypatch.setattr(components, "upstream_account", lambda: (True, ""))
    balance(server, "1000.000000")
    job = world.job()
    server.script.append(wire.answer(charged="500.000000"))
    run(server)

    # The alarm: nothing is booked or learned, and the operator sees what the header said.
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.doubt, attempt.charged_microcredits) == ("in_doubt", "implausible", None)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, held=CREDIT)
    assert not Price.objects.exists()
    client.force_login(User.objects.create_superuser("root@example.org"))
    health = text(client.get(reverse("health")))
    assert "1 has an implausible charge. X-Credits-Charged: 500.000000." in health

    # The case: the header verbatim, 500 at stake, and the estimate to begin with.
    case = f"attempt-{attempt.pk}"
    shown = text(client.get(page(world, "review"), {"case": case}))
    assert "<code>X-Credits-Charged: 500.000000</code>" in shown
    assert "500 credits at stake" in shown

    # The account says one credit, and so does the person.
    balance(server, "999.000000")
    decision = {"action": "charged", "credits": "1", "reason": "the account's balance fell by 1"}
    client.post(page(world, "decide_case", case), decision)
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)
    assert Job.objects.get(pk=job.pk).state == "done"
    assert not Attempt.objects.for_review().exists()
    assert "Every charge is explained." in text(client.get(reverse("health")))

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason) == ("resolve", "the account's balance fell by 1")
    assert (entry.before["header"], entry.before["doubt"]) == ("500.000000", "implausible")
    assert (entry.before["state"], entry.after["state"]) == ("in_doubt", "booked")
    assert entry.after["charged_microcredits"] == CREDIT
    log = text(client.get(page(world, "audit_log")))
    assert "fell by 1" in log

    (period,) = account.balances(DateRange()).periods
    assert (period.outcome, period.missing) == (Outcome.AGREES, 0)
    assert verify.run(quick=True).findings == []
