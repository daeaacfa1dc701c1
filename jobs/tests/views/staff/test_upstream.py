"""Staff see what the upstream's account has, and how its calls end, how long they take and what they cost."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import User
from conftest import World, small_png
from jobs.audit import recent_calls
from jobs.calls import accounts
from jobs.models import Attempt, BalanceSnapshot, Job, Price
from jobs.queue import claims

pytestmark = pytest.mark.both_databases


@pytest.fixture
def staff(world: World, client: Client, settings: Settings) -> Client:
    settings.PIXIAN_API_URL, settings.PIXIAN_API_ID = "https://api.pixian.ai/api/v2", "px1234567890"
    client.force_login(User.objects.create_superuser("root@example.org"))
    return client


def called(world: World, seconds: float = 1, days: float = 0, **columns: Any) -> Attempt:
    """Return an attempt on a megapixel, that was answered after so many seconds, so many days ago."""
    job = world.job(small_png())
    sent = timezone.now() - timedelta(days=days, minutes=1)
    came = sent + timedelta(seconds=seconds)
    values: dict[str, Any] = {
        "account_id": accounts.current_id(),
        "state": "booked",
        "sends": 1,
        "sent_at": sent,
        "answered_at": came,
        "status": 200,
        "charged_microcredits": CREDIT,
    }
    Attempt.objects.filter(job=job).update(**values | columns)
    return Attempt.objects.get(job=job)


def test_the_account_is_shown_with_its_last_balance(staff: Client) -> None:
    now = timezone.now()
    answer = {"state": "dormant", "useBefore": "2027-01-31T00:00:00Z", "credits": "41.5"}
    for microcredits, minutes in ((99 * CREDIT, 30), (41_500_000, 3)):
        at = now - timedelta(minutes=minutes)
        BalanceSnapshot.objects.create(
            account_id=accounts.current_id(),
            asked_at=at,
            came_at=at,
            microcredits=microcredits,
            answer=answer,
        )
    page = staff.get("/staff/upstream/").content.decode()
    for text in ("41.5", "as answered 3\xa0minutes ago", "dormant", "01/31/2027", "px12…", "api.pixian.ai"):
        assert text in page
    assert "px1234567890" not in page


@pytest.mark.parametrize("answer", [{}, {"useBefore": None}, {"useBefore": "some day", "state": 7}])
def test_an_odd_answer_is_shown_as_it_came(staff: Client, answer: dict[str, Any]) -> None:
    now = timezone.now()
    BalanceSnapshot.objects.create(
        account_id=accounts.current_id(), asked_at=now, came_at=now, microcredits=1, answer=answer
    )
    response = staff.get("/staff/upstream/")
    assert response.status_code == 200
    assert response.context["balance"].use_before_at is None


def test_errors_are_counted_by_code_over_a_day_and_a_week(staff: Client, world: World) -> None:
    called(world)
    called(world, state="released", status=400, error_code=1006, error_message="Unreadable")
    called(world, days=2, state="released", status=400, error_code=1006, error_message="Unreadable")
    called(world, days=3, state="in_doubt", status=None, answered_at=None)
    called(world, days=8, state="released", status=500)
    called(world, sends=3)
    endings = staff.get("/staff/upstream/").context["endings"]
    assert [(error.status, error.code, error.day, error.week) for error in endings.errors] == [
        (400, 1006, 1, 2),
        (None, None, 0, 1),
    ]
    assert (endings.calls_of_day, endings.calls_of_week) == (3, 5)
    assert (endings.resent_of_day, endings.is_cut) == (2, False)


def test_no_more_calls_are_counted_than_there_is_time_for(
    world: World, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_calls, "MAX_CALLS", 2)
    for days in (3, 2, 1.5):
        called(world, days=days, status=500)
    endings = recent_calls.endings(timezone.now())
    assert (endings.calls_of_week, endings.is_cut) == (2, True)
    assert "There were more in 7 days" in staff.get("/staff/upstream/").content.decode()


def test_latency_is_told_in_percentiles(world: World, staff: Client) -> None:
    assert recent_calls.latency() is None
    for seconds in (1, 2, 3, 40):
        called(world, seconds)
    called(world, answered_at=None, status=None, state="in_doubt")
    assert recent_calls.latency() == recent_calls.Latency(4, 2, 40, 40)


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 50), (95, 95), (99, 99), (100, 100)])
def test_a_percentile_is_the_value_of_nearest_rank(percent: int, value: int) -> None:
    assert recent_calls.percentile(range(1, 101), percent) == value
    assert recent_calls.percentile([7], percent) == 7


def test_what_a_megapixel_cost_is_drawn_by_day_beside_the_floor(
    world: World, staff: Client, settings: Settings
) -> None:
    settings.HOLD_MICROCREDITS_PER_MEGAPIXEL = CREDIT
    for days, charged in ((1, CREDIT // 2), (0, CREDIT), (0, 3 * CREDIT), (0, 2 * CREDIT)):
        called(world, days=days, charged_microcredits=charged)
    called(world, state="released", charged_microcredits=0, status=400)
    Price.objects.create(
        upstream=settings.PIXIAN_API_URL, api_id=settings.PIXIAN_API_ID, band=20, microcredits_per_megapixel=7
    )
    page = staff.get("/staff/upstream/", headers={"Accept-Language": "fr"})
    rates = page.context["rates"]
    assert [(rate.calls, rate.median, rate.lowest, rate.highest) for rate in rates] == [
        (1, CREDIT // 2, CREDIT // 2, CREDIT // 2),
        (3, 2 * CREDIT, CREDIT, 3 * CREDIT),
    ]
    # As numbers of SVG, whatever the reader's language.
    assert 'points="0.0,123.6 720.0,14.5"' in page.content.decode()
    assert "".join(page.context["prices"][0][0].split()) == "1048576"


def test_a_thread_that_was_told_to_wait_is_named(world: World, staff: Client) -> None:
    world.job()
    job = claims.claim("host:7:t2")
    assert job
    claims.postpone(job, 45, claims.Reason.SLOW_DOWN)
    page = staff.get("/staff/upstream/").content.decode()
    assert "host:7:t2" in page
    assert "Pixian asked us to wait." in page


def test_it_asks_few_questions_however_many_calls(
    world: World, staff: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        called(world, status=500)
    assert Job.objects.count() == 5
    with django_assert_max_num_queries(22):
        staff.get("/staff/upstream/")
