"""Each warning is given once, to whom it concerns, and again when its reason comes back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import AllowanceUse, Membership, Role, User
from conftest import World
from jobs.events import reasons, subscriptions
from jobs.events.alerts import warn
from jobs.events.review_mails import PAUSE, tell_of_reviews
from jobs.models import Alert, Attempt, BalanceSnapshot, Event, EventKind, UpstreamAccount
from jobs.queue import workers
from jobs.storage.volumes import DATA, FILES, Volume

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def _mails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.auth.log_redaction.emails_are_printed", lambda: False)
    monkeypatch.setattr(reasons, "volumes", list)  # however full this machine's disk is


def spend(world: World, credits_: int) -> None:
    key = f"test:{timezone.now().timestamp()}"
    held = ledger.hold(world.team, credits_ * CREDIT, key=key, reference="test", actor=world.bob)
    ledger.settle(held, credits_ * CREDIT)


def mailed() -> list[tuple[list[str], str]]:
    sent = [(message.to, str(message.subject)) for message in mail.outbox]
    mail.outbox.clear()
    return sent


def given() -> list[tuple[str, int]]:
    return list(Alert.objects.filter(over_at=None).order_by("pk").values_list("subject", "level"))


def test_a_pool_warns_at_each_level_once(world: World) -> None:
    subscriptions.add(world.team, world.alice, "http://receiver.example/", [EventKind.BALANCE_LOW])
    spend(world, 79)
    assert warn() == 0
    for credits_, level in ((1, 80), (15, 95), (5, 100)):
        spend(world, credits_)
        assert (warn(), warn()) == (1, 0)
        ((to, subject),) = mailed()
        assert to == ["alice@example.org"]
        assert "Aurora" in subject
        assert given()[-1] == ("pool", level)
    told = Event.objects.filter(kind=EventKind.BALANCE_LOW).order_by("at")
    assert [event.data["used_percent"] for event in told] == [80, 95, 100]


def test_of_several_levels_at_once_the_gravest_is_mailed(world: World) -> None:
    spend(world, 96)
    assert warn() == 1
    ((_, subject),) = mailed()
    assert "95 %" in subject
    assert given() == [("pool", 80), ("pool", 95)]


def test_a_hold_alone_is_no_use(world: World) -> None:
    ledger.hold(world.team, 100 * CREDIT, key="k", reference="r", actor=world.bob)
    assert warn() == 0


def test_a_grant_ends_the_warning_and_the_next_one_is_given(world: World) -> None:
    spend(world, 80)
    warn()
    ledger.grant(world.team, 100 * CREDIT, key="more")
    assert (warn(), given()) == (0, [])
    spend(world, 96)
    assert warn() == 1


def test_a_reason_that_comes_back_is_warned_of_again(world: World) -> None:
    spend(world, 80)
    assert warn() == 1
    ledger.refund(world.team, 3 * CREDIT, key="r", reference="x", actor=world.alice, memo="m")
    assert (warn(), given()) == (0, [("pool", 80)])  # 77 %: too near to be over
    ledger.refund(world.team, 5 * CREDIT, key="r2", reference="x", actor=world.alice, memo="m")
    assert (warn(), given()) == (0, [])
    spend(world, 8)
    assert (warn(), given()) == (1, [("pool", 80)])


def test_an_allowance_warns_its_member_in_each_period(world: World) -> None:
    member = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(member, limit=10 * CREDIT, period="month")
    spend(world, 8)
    assert (warn(), warn()) == (1, 0)
    assert [to for to, _ in mailed()] == [["bob@example.org"]]
    month = timedelta(days=31)
    for use in AllowanceUse.objects.all():
        AllowanceUse.objects.filter(pk=use.pk).update(
            starts_at=use.starts_at - month, renews_at=use.starts_at
        )
    assert (warn(), given()) == (0, [])


def test_two_processes_give_a_warning_once(committed_world: World) -> None:
    spend(committed_world, 80)

    def look(_: int) -> int:
        try:
            return warn()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(look, range(4))) == 1
    assert len(mailed()) == 1


@pytest.fixture
def account(settings: Settings) -> UpstreamAccount:
    settings.PIXIAN_API_URL, settings.PIXIAN_API_ID = "http://upstream.example", "pxid"
    User.objects.create_superuser("root@example.org")
    return UpstreamAccount.objects.create(upstream="http://upstream.example", api_id="pxid")


def snapshot(account: UpstreamAccount, credits_: int, days_ago: float = 0, **answer: Any) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    BalanceSnapshot.objects.create(
        account=account, asked_at=at, came_at=at, microcredits=credits_ * CREDIT, answer=answer
    )


def test_the_upstreams_account_warns_staff_by_what_a_week_takes(
    world: World, account: UpstreamAccount
) -> None:
    for days_ago, credits_ in ((5, 3000), (4, 2000), (3, 3000), (0.5, 2500)):
        snapshot(account, credits_, days_ago)
    assert warn() == 0  # 1,500 in a week
    snapshot(account, 900, 0.2)
    assert warn() == 1
    ((to, subject),) = mailed()
    assert to == ["root@example.org"]
    assert "900" in subject
    snapshot(account, 100, 0.1)
    assert warn() == 1
    assert given() == [(f"upstream:{account.pk}", 7), (f"upstream:{account.pk}", 1)]


def test_its_last_day_is_warned_of_30_7_and_1_days_before(world: World, account: UpstreamAccount) -> None:
    last = timezone.localdate() + timedelta(days=31)
    snapshot(account, 5000, useBefore=last.isoformat())
    assert warn() == 0
    for days in (30, 7, 1):
        day = timezone.localdate() + timedelta(days=days)
        Alert.objects.all().delete()
        snapshot(account, 5000, useBefore=f"{day}T00:00:00Z")
        assert warn() == 1
        assert given()[-1] == (f"use_before:{account.pk}", days)
    snapshot(account, 5000, useBefore="whenever")
    assert (warn(), given()) == (0, [])


def test_reviews_are_mailed_once_and_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        world.job()
    Attempt.objects.update(state="in_doubt", doubt="unanswered")
    assert (tell_of_reviews(), tell_of_reviews()) == (1, 0)
    ((to, subject),) = mailed()
    assert (to, subject) == (["alice@example.org"], "[Pixian Web] 3 charges of Aurora need a review")
    world.job()
    Attempt.objects.update(state="in_doubt", doubt="unanswered")
    assert tell_of_reviews() == 0  # too soon
    Alert.objects.update(at=timezone.now() - PAUSE)
    assert tell_of_reviews() == 1
    assert mailed()[0][1] == "[Pixian Web] 1 charge of Aurora needs a review"


def fill(monkeypatch: pytest.MonkeyPatch, percent: int, name: str = FILES) -> None:
    volume = Volume(name, Path("/srv/pixian"), 100 << 30, (100 - percent) << 30, percent)
    monkeypatch.setattr(reasons, "volumes", lambda: [volume])


def test_staff_hear_once_at_each_level_that_a_disk_fills_up(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = User.objects.create_superuser("root@example.org")
    fill(monkeypatch, 79)
    assert warn() == 0
    for percent, level in ((80, 80), (91, 90), (95, 95)):
        fill(monkeypatch, percent)
        assert (warn(), warn()) == (1, 0)
        ((to, subject),) = mailed()
        assert to == ["root@example.org"]
        assert f"is {level} % full" in subject
        assert "/srv/pixian" in subject
    client.force_login(root)
    page = client.get(reverse("staff_teams")).content.decode()
    assert "is 95 % full" in page
    assert reverse("health") in page
    client.force_login(world.alice)
    assert "% full" not in client.get(reverse("credits", args=[world.team.slug])).content.decode()


def test_a_disk_around_a_level_warns_once_and_again_after_it_was_emptied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings = []
    for percent in (80, 79, 80, 76, 80, 70, 80):
        fill(monkeypatch, percent)
        warnings.append(warn())
    assert warnings == [1, 0, 0, 0, 0, 0, 1]


def test_a_machine_leaves_the_warning_of_another_ones_disk_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of the two would end and give it, in turn, with an email each time."""
    workers.register("other:1:2f9c0a", 2)
    fill(monkeypatch, 85, DATA)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "other")
        assert warn() == 1
    fill(monkeypatch, 10, DATA)
    assert warn() == 0
    assert given() == [("disk:data@other", 80)]
    workers.unregister("other:1:2f9c0a")
    warn()
    assert given() == []


def test_the_workspace_warns_of_used_up_credits_once(world: World) -> None:
    spend(world, 100)
    warn()
    client = Client()
    client.force_login(world.alice)
    workspace, credits_ = (
        client.get(reverse(name, args=[world.team.slug])).content.decode()
        for name in ("workspace", "credits")
    )
    assert "0 credits are left in this team." in workspace
    assert "are used up" not in workspace
    assert "The credits of Aurora are used up" in credits_


def test_a_page_shows_a_warning_to_whom_it_concerns_until_they_hide_it(world: World) -> None:
    spend(world, 80)
    warn()
    page = reverse("credits", args=[world.team.slug])

    def sees(user: User) -> bool:
        client = Client()
        client.force_login(user)
        return "of the credits of Aurora are used" in client.get(page).content.decode()

    mia = User.objects.create_user("mia@example.org")
    Membership.objects.create(team=world.team, user=mia, role=Role.MANAGER)
    assert [sees(user) for user in (world.alice, mia, world.bob, world.vera)] == [True, True, False, False]

    client = Client()
    client.force_login(mia)
    hidden = client.post(reverse("hide_alert", args=[Alert.objects.get().pk]), {"next": page})
    assert hidden.headers["Location"] == page
    assert "of the credits" not in client.get(page).content.decode()
    assert (
        client.post(reverse("hide_alert", args=[10**9]), {"next": "//evil.example"}).headers["Location"]
        == "/"
    )


@pytest.mark.parametrize(("full", "left", "percent"), [(100, 20, 80), (1000, 4, 100), (0, 0, 100), (5, 9, 0)])
def test_the_used_part_is_rounded(full: int, left: int, percent: int) -> None:
    assert reasons.used_percent(full, left) == percent
