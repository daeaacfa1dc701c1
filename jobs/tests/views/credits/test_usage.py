"""The usage page: periods, charts, breakdowns, allowances and the forecast, for each who may see them."""

import csv
import io
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from accounts.api_keys import keys
from accounts.ledger import allowances
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import ApiKey, Membership
from conftest import World
from jobs import usage_days
from jobs.audit import usage_forecast
from jobs.models import Batch, Job
from jobs.tests.audit.test_usage_rollup import booked, reused
from jobs.views.credits import usage_parts
from jobs.views.credits.charts import bar_chart, round_up

pytestmark = pytest.mark.both_databases


@pytest.fixture
def batch(world: World) -> Batch:
    outputs = [{"name": "White", "style": {}}, {"name": "", "style": {}}]
    return Batch.objects.create(
        id=uuid4(), team=world.team, created_by=world.bob, name="=Shoes", outputs=outputs
    )


@pytest.fixture
def story(world: World, batch: Batch) -> World:
    """Spend 3 credits in a batch and 1.5 by a key, today; a duplicate saves 2 and one picture is restyled."""
    first = booked(world.team, world.bob, 3 * CREDIT, batch=batch)
    key = keys.create(world.team, world.alice, "shop")[0]
    booked(world.team, world.alice, CREDIT + CREDIT // 2, api_key=key, origin=Job.Origin.API)
    reused(first, world.bob, batch)
    usage_days.count_rendition(first)
    return world


def page(client: Client, team: str = "aurora", **query: str) -> HttpResponse:
    response: Any = client.get(reverse("usage", args=[team]), query)
    return response  # type: ignore[no-any-return]


def text(response: HttpResponse) -> str:
    return " ".join(response.content.decode().split())


def test_the_page_sums_up_what_was_spent_and_saved(client: Client, story: World) -> None:
    client.force_login(story.vera)
    context = page(client).context  # type: ignore[attr-defined]
    total = context["total"]
    assert (total.calls, total.booked, total.pixels) == (2, 4_500_000, 4_000_000)
    assert (total.duplicates, total.saved, total.renditions) == (1, 2 * CREDIT, 1)
    assert (total.booked_per_call, total.pixels_per_call) == (2_250_000, 2_000_000)
    assert len(context["steps"]) == len(context["chart"].bars) == 30
    assert context["steps"][-1].usage == total
    shown = {
        by: page(client, by=by).context["breakdown"]  # type: ignore[attr-defined]
        for by in ("person", "key", "batch", "preset")
    }
    parts = {
        by: [(part.name, part.usage.booked, part.bar) for part in breakdown.parts]
        for by, breakdown in shown.items()
    }
    outside = "Programs’ calls, outside of batches"
    assert parts == {
        "person": [("bob@example.org", 3 * CREDIT, "66.67"), ("alice@example.org", 1_500_000, "33.33")],
        "key": [("In the browser", 3 * CREDIT, "66.67"), ("shop", 1_500_000, "33.33")],
        "batch": [("=Shoes", 3 * CREDIT, "66.67"), (outside, 1_500_000, "33.33")],
        "preset": [("White + A style of its own", 3 * CREDIT, "66.67"), (outside, 1_500_000, "33.33")],
    }


def test_calls_outside_of_batches_have_a_line_of_their_own_beside_the_dearest_batches(
    client: Client, world: World, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_parts, "BATCHES", 1)
    cheap = Batch.objects.create(id=uuid4(), team=world.team, created_by=world.bob)
    booked(world.team, world.bob, 3 * CREDIT, batch=batch)
    booked(world.team, world.bob, 2 * CREDIT, batch=cheap)
    booked(world.team, world.bob, CREDIT)
    client.force_login(world.bob)
    shown = page(client, by="batch").context["breakdown"].parts  # type: ignore[attr-defined]
    assert [(part.name, part.usage.booked) for part in shown] == [
        ("=Shoes", 3 * CREDIT),
        ("Programs’ calls, outside of batches", CREDIT),
        ("All other batches", 2 * CREDIT),
    ]


def test_another_breakdown_keeps_the_period_and_the_other_way_round(client: Client, story: World) -> None:
    client.force_login(story.vera)
    shown = text(page(client, period="7", by="key"))
    assert 'href="?period=7&amp;by=batch#breakdown"' in shown
    assert 'href="?period=90&amp;by=key"' in shown
    shown = text(page(client, since="2026-01-31", until="2026-02-02"))
    assert 'href="?since=2026-01-31&amp;until=2026-02-02&amp;by=preset#breakdown"' in shown
    assert page(client, by="nonsense").status_code == 400


@pytest.mark.parametrize("by", ["person", "key", "batch", "preset"])
def test_rows_are_summed_up_before_they_get_names(client: Client, story: World, by: str) -> None:
    client.force_login(story.alice)
    with CaptureQueriesContext(connection) as queries:
        page(client, by=by)
    sums = [
        query["sql"] for query in queries.captured_queries if 'SUM("jobs_usageday"."calls")' in query["sql"]
    ]
    by_name = ("accounts_user", "accounts_apikey", '"jobs_batch"."name"')
    assert [len(sums), [sql for sql in sums if any(name in sql for name in by_name)]] == [2, []]


def test_the_chart_has_a_title_a_description_and_a_table(client: Client, story: World) -> None:
    client.force_login(story.bob)
    shown = text(page(client, period="7"))
    assert 'role="img" aria-labelledby="chart-title chart-about"' in shown
    today = timezone.localdate()
    assert f"<title>{today:%-d %B %Y}: 4.5 credits, 2 pictures</title>" in shown
    assert shown.count("<rect x=") == 7
    day = date_format(today, "j N Y")
    assert shown.index("<details>") < shown.index(f'<th scope="row">{day}</th>')


def test_a_french_page_draws_the_same_chart(client: Client, story: World) -> None:
    """A decimal comma would be an error in SVG."""
    client.force_login(story.bob)
    bars = [
        [line for line in response.content.decode().splitlines() if "<rect" in line and "x=" in line]
        for response in (
            client.get(reverse("usage", args=["aurora"]), headers={"Accept-Language": language})
            for language in ("en", "fr")
        )
    ]
    assert len(bars[0]) == len(bars[1]) == 30
    assert not any(f'{name}="{n},' in line for line in bars[1] for name in ("x", "y") for n in range(100))


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ({}, 30),
        ({"period": "7"}, 7),
        ({"period": "90"}, 90),
        ({"period": "month"}, timezone.localdate().day),
        ({"since": "2026-01-31", "until": "2026-02-02"}, 3),
        ({"until": "2026-03-31"}, 30),
        ({"since": "2026-01-01", "until": "2026-01-01", "period": "7"}, 1),
    ],
)
def test_a_period_is_chosen(client: Client, world: World, query: dict[str, str], days: int) -> None:
    client.force_login(world.bob)
    assert len(page(client, **query).context["steps"]) == days  # type: ignore[attr-defined]


def test_a_year_is_shown_by_month(client: Client, story: World) -> None:
    client.force_login(story.bob)
    today = timezone.localdate()
    response = page(client, since=f"{today - timedelta(days=365)}")
    steps = response.context["steps"]  # type: ignore[attr-defined]
    assert len(steps) == len(response.context["chart"].bars) == 13  # type: ignore[attr-defined]
    assert steps[0].group == today - timedelta(days=365)
    assert [step.usage.booked for step in steps[1:]] == [0] * 11 + [4_500_000]
    assert f"<title>{today:%B %Y}: 4.5 credits, 2 pictures</title>" in text(response)
    assert "Credits by month" in text(response)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"since": "2026-02-02", "until": "2026-02-01"}, "The last day comes before the first one."),
        ({"since": "2020-01-01", "until": "2026-02-01"}, "These are more than 366 days."),
        ({"since": "2026-02-30"}, "Enter a valid date."),
        ({"since": "0001-01-01", "until": "0001-01-02"}, "There was no usage on these days."),
        ({"since": "9999-12-31"}, "There was no usage on these days."),
        ({"until": "0001-01-01"}, "The last day comes before the first one."),
        ({"period": "8"}, "Select a valid choice."),
    ],
)
def test_days_that_cannot_be_shown_are_refused(
    client: Client, world: World, query: dict[str, str], said: str
) -> None:
    client.force_login(world.bob)
    response = page(client, **query)
    assert (response.status_code, said in text(response)) == (400, True)
    assert client.get(reverse("usage_csv", args=["aurora"]), query).status_code == 400
    if "since" in query and len(query) == 2:
        assert f'value="{query["since"]}"' in text(response)  # as it was sent


def test_an_outsider_learns_nothing_and_staff_see_all_teams(client: Client, story: World) -> None:
    client.force_login(story.charlie)
    assert (page(client).status_code, page(client, "nowhere").status_code) == (404, 404)
    type(story.charlie).objects.filter(pk=story.charlie.pk).update(is_staff=True)
    response = page(client)
    assert response.status_code == 200
    assert reverse("batch", args=["aurora", Batch.objects.get().pk]) not in text(response)  # for members only


def test_a_member_sees_their_own_allowance_and_a_manager_all(client: Client, story: World) -> None:
    bounds: list[Membership | ApiKey] = [
        *Membership.objects.filter(team=story.team),
        story.alice.api_keys.get(),
    ]
    for bound in bounds:
        allowances.grant(bound, limit=10 * CREDIT, period="month")
    for user, seen in ((story.bob, 1), (story.alice, len(bounds))):
        client.force_login(user)
        assert len(page(client).context["standings"]) == seen  # type: ignore[attr-defined]


def test_the_csv_has_a_row_for_each_part_and_no_formula(client: Client, story: World) -> None:
    client.force_login(story.bob)
    response = client.get(reverse("usage_csv", args=["aurora"]))
    content = b"".join(response).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [
        (row["person"], row["key_name"], row["batch_name"], row["credits"], row["saved"]) for row in rows
    ] == [
        ("alice@example.org", "shop", "", "1.5", "0"),
        ("bob@example.org", "", "'=Shoes", "3", "2"),
    ]
    assert {row["day"] for row in rows} == {str(timezone.localdate())}


def test_more_rows_cost_no_more_queries(client: Client, story: World) -> None:
    client.force_login(story.alice)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(client)
        return len(captured)

    few = queries()
    for n in range(3):
        batch = Batch.objects.create(id=uuid4(), team=story.team, created_by=story.vera, name=f"{n}")
        booked(story.team, story.vera, CREDIT, batch=batch)
    assert queries() == few


# The forecast -----------------------------------------------------------------------------------------


def spend(world: World, days_ago: int, credits_: int) -> None:
    booked(world.team, world.bob, credits_ * CREDIT)
    world.team.usage_days.filter(day=timezone.localdate()).update(
        day=timezone.localdate() - timedelta(days=days_ago)
    )


def test_the_forecast_says_when_the_pool_runs_dry(client: Client, world: World) -> None:
    spend(world, 60, 2)
    for days_ago in (28, 1):
        spend(world, days_ago, 28)
    ahead = usage_forecast.forecast(world.team, 42 * CREDIT)
    today = timezone.localdate()
    assert ahead == usage_forecast.Forecast(42 * CREDIT, 2 * CREDIT, 28, today + timedelta(days=21))
    client.force_login(world.bob)
    when = today + timedelta(days=21)
    sentence = (
        "At the pace of the last 28 days (2 credits a day), the 42 available credits last until about "
        f"{when:%-d %B %Y}."
    )
    assert sentence in text(page(client))
    assert sentence in text(client.get(reverse("credits", args=["aurora"])))  # type: ignore[arg-type]


def test_a_young_teams_pace_is_of_the_days_since_its_first_booking(world: World) -> None:
    spend(world, 10, 20)
    ahead = usage_forecast.forecast(world.team, 5 * CREDIT)
    assert ahead
    assert (ahead.days, ahead.a_day) == (10, 2 * CREDIT)
    assert ahead.dry_on == timezone.localdate() + timedelta(days=2)


def test_too_little_is_no_forecast(world: World) -> None:
    assert usage_forecast.forecast(world.team, 5 * CREDIT) is None  # nothing was booked
    spend(world, 6, 2)
    assert usage_forecast.forecast(world.team, 5 * CREDIT) is None  # fewer than 7 days
    spend(world, 60, 2)
    world.team.usage_days.filter(day__gt=timezone.localdate() - timedelta(days=30)).delete()
    assert usage_forecast.forecast(world.team, 5 * CREDIT) is None  # nothing in the last 28
    spend(world, 5, 1)
    assert usage_forecast.forecast(world.team, 0) is None  # nothing is left to last


def test_a_pool_that_lasts_for_years_has_no_date(world: World) -> None:
    spend(world, 20, 1)
    ahead = usage_forecast.forecast(world.team, 2**62)
    assert ahead
    assert ahead.dry_on is None


# The chart --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "top"),
    [(0, 1), (1, 1), (7, 8), (10, 10), (11, 20), (2_000_001, 3_000_000), (81, 100), (2**62, 5 * 10**18)],
)
def test_the_axis_ends_at_a_round_amount(amount: int, top: int) -> None:
    assert round_up(amount) == top


def test_bars_share_the_width_and_reach_their_amount() -> None:
    chart = bar_chart([(0, "a"), (5, "b"), (10, "c"), (2, "d")])
    assert [(bar.x, bar.y, bar.width, bar.height) for bar in chart.bars] == [
        ("2.500", "100.000", "20.000", "0.000"),
        ("27.500", "50.000", "20.000", "50.000"),
        ("52.500", "0.000", "20.000", "100.000"),
        ("77.500", "80.000", "20.000", "20.000"),
    ]
    assert bar_chart([]).bars == []


def test_a_day_without_usage_is_shown_as_such(client: Client, world: World) -> None:
    client.force_login(world.bob)
    days = page(client, since="2026-02-27", until="2026-03-01").context["steps"]  # type: ignore[attr-defined]
    assert [day.group for day in days] == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]
    assert {day.usage.booked for day in days} == {0}
