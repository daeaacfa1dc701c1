"""A story: a month of three people and two keys in which much goes wrong, and the books agree in the end.

All that people do here, they do on pages.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import AuditEntry, Membership, Role, Transfer, User
from accounts.tests.teams.team_pages import page, text
from conftest import World
from jobs.audit import balance_snapshots, usage, verify
from jobs.audit.reconcile import calls
from jobs.audit.usage import By
from jobs.models import Attempt, BalancePeriod, BalanceSnapshot, Job
from jobs.search.date_range import DateRange
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program, program_of
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases


@dataclass
class Month:
    """The team with carol in it, the shop's key of bob, a nightly key of alice, and staff."""

    world: World
    carol: User
    staff: Client
    server: Server
    shop: Program
    nightly: Program

    def picture(self, user: User, answer: wire.Step) -> Job:
        """Cut out a picture of a credit."""
        self.server.script.append(answer)
        self.world.job(user=user)
        return run(self.server)[0]

    def balance(self) -> BalancePeriod | None:
        """Take the account's balance; return the period that it ends."""
        balance_snapshots.take(self.server.upstream)
        return BalancePeriod.objects.order_by("-pk").first()

    def decide(self, job: Job, action: str, **data: Any) -> None:
        """Decide the picture's case on the team's review page."""
        case = f"attempt-{job.last_attempt.pk}"
        sent = self.staff.post(page(self.world, "decide_case", case), {"action": action} | data)
        assert sent.status_code == 302, sent.content.decode()

    def difference(self, period: BalancePeriod) -> str:
        """Return what the period's page says in the end."""
        shown: str = text(self.staff.get(reverse("balance_period", args=[period.pk])))
        return shown


@pytest.fixture
def month(
    committed_world: World,
    program: Program,
    server: Server,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Month]:
    settings.PIXIAN_API_URL, settings.PIXIAN_EMBEDDED = server.url, False
    # An answer that never came is over at once, so that the balances of this short month are quiet.
    settings.PIXIAN_TIMEOUT = 1
    monkeypatch.setattr(calls, "SLACK_SECONDS", -1)
    server.account_body = None
    world = committed_world
    carol = User.objects.create_user("carol@example.org", "correct horse")
    Membership.objects.create(team=world.team, user=carol, role=Role.MEMBER)
    staff = Client()
    staff.force_login(User.objects.create_superuser("root@example.org"))
    with program_of(world.team, world.alice) as nightly:
        yield Month(world, carol, staff, server, program, nightly)


def test_a_month_ends_at_0(month: Month) -> None:
    month.balance()
    an_hour_ago = timezone.now() - timedelta(hours=1)
    BalanceSnapshot.objects.update(asked_at=an_hour_ago, came_at=an_hour_ago)
    below, above = five_calls(month)
    lost, never, absurd = three_doubts(month)
    period = fifty_credits_are_bought(month)

    # The account's list of charges shows the picture of 500 and one of the two that were lost.
    month.decide(absurd, "charged", credits="1", reason="the account says 1")
    month.decide(lost, "charged", credits="1", reason="the account says so")
    month.decide(never, "not_charged", reason="the account knows nothing of it")
    month.decide(above, "acknowledge", reason="a large picture")
    a_bad_result_is_refunded(month, below)

    assert "agrees" in month.difference(period)
    assert verify.run(quick=True).findings == []
    assert not Attempt.objects.for_review().exists()
    the_books_agree(month)
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["purchase", *["resolve"] * 3, "acknowledge", "refund", "answer_report"]


def five_calls(month: Month) -> tuple[Job, Job]:
    """Make calls as they should be, or nearly; return the ones charged below and above their hold."""
    below = month.picture(month.world.bob, wire.answer(charged="0.8"))
    above = month.picture(month.carol, wire.answer(charged="1.4"))
    for key in (month.shop, month.nightly):
        month.server.script.append(wire.answer(charged="1"))
        assert key.call().status_code == 200
    month.picture(month.world.alice, wire.answer(charged="1"))
    return below, above


def three_doubts(month: Month) -> tuple[Job, Job, Job]:
    """Lose two answers, of which one call was charged, and get a header of 500 credits for a charge of 1."""
    lost = month.picture(month.world.bob, wire.charged_in_silence("1"))
    never = month.picture(month.carol, wire.no_answer)
    absurd = month.picture(month.world.bob, replace(wire.answer(charged="1"), header=("500.000000",)))
    assert [job.last_attempt.state for job in (lost, never, absurd)] == ["in_doubt"] * 3
    return lost, never, absurd


def fifty_credits_are_bought(month: Month) -> BalancePeriod:
    """Enter a purchase on the page, twice; it counts once. Return the period that it falls in."""
    month.server.settings = replace(month.server.settings, opening_microcredits=1050 * CREDIT)
    period = month.balance()
    assert period
    assert "not explained: too much is there" in month.difference(period)
    bought = {
        "token": "5d0dd69e-8f0c-4ff2-92b1-7d4e1a6ad9c5",
        "bought_at": f"{timezone.localtime() - timedelta(minutes=30):%Y-%m-%dT%H:%M:%S}",
        "credits": "50",
        "note": "invoice 7",
    }
    for _ in range(2):
        month.staff.post(reverse("purchases"), bought)
    period.refresh_from_db()
    assert period.account.purchase_set.count() == 1
    assert "agrees" not in month.difference(period)
    return period


def a_bad_result_is_refunded(month: Month, picture: Job) -> None:
    """Let bob report his picture on its page, and staff refund it on theirs."""
    bob = Client()
    bob.force_login(month.world.bob)
    bob.post(page(month.world, "report_result", picture.pk), {"note": "the handle is missing"})
    case = f"report-{picture.reports.get().pk}"
    answer = {"action": "refund", "credits": "0.8", "reason": "the handle is missing indeed"}
    month.staff.post(page(month.world, "decide_case", case), answer)


def the_books_agree(month: Month) -> None:
    """Compare the upstream's own log with the balances, the statement and the usage."""
    charged, team = sum(charge.microcredits for charge in month.server.charged), month.world.team
    assert charged == 7_200_000
    now = ledger.balances(team)
    assert (now.spent, now.held, now.owed) == (charged, 0, 0)
    assert now.available == 100 * CREDIT - charged + 800_000
    newest = Transfer.objects.filter(team=team).latest("pk")
    assert (newest.kind, newest.available_microcredits) == ("refund", now.available)
    by_person = usage.by_group(team, DateRange(), By.MEMBER)
    assert {each.group: each.usage.booked for each in by_person} == {
        "alice@example.org": 2_000_000,
        "bob@example.org": 3_800_000,
        "carol@example.org": 1_400_000,
    }
