"""The audit log's page and CSV: who decided what, when and why, filtered and paged."""

import csv
import io
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import audit_log
from accounts.audit_log import Action
from accounts.models import AuditEntry
from accounts.tests.teams.team_pages import log_in, page, text
from conftest import World
from jobs.audit import log_pages
from jobs.views.review import audit_log as view

pytestmark = pytest.mark.both_databases


def record(world: World, action: Action = Action.REFUND, reason: str = "no shoe", **more: Any) -> AuditEntry:
    values: dict[str, Any] = {
        "before": {"state": "booked", "spent": 1_500_000},
        "after": {"spent": 2_000_000},
    } | more
    return audit_log.record(action, "attempt:7", actor=world.alice, team=world.team, reason=reason, **values)


def listed(response: Any) -> list[int]:
    return [entry.pk for entry in response.context["entries"]]


def test_an_entry_says_who_what_why_and_what_changed(world: World, client: Client) -> None:
    record(world, reason="<b>no</b> shoe")
    shown = text(log_in(client, "alice").get(page(world, "audit_log")))
    for expected in ("alice@example.org", "Charge refunded", "attempt:7", "&lt;b&gt;no&lt;/b&gt; shoe"):
        assert expected in shown
    assert 'Spent: 1.5 <span aria-hidden="true">→</span> <b>2</b>' in shown
    assert "State:" not in shown, "it stayed the same"


def test_it_is_filtered_and_paged_by_key(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "PAGE", 2)
    refunds = [record(world).pk for _ in range(3)]
    other = record(world, Action.ACKNOWLEDGE).pk
    alice = log_in(client, "alice")
    first = alice.get(page(world, "audit_log"))
    assert listed(first) == [other, refunds[2]]
    older = alice.get(page(world, "audit_log"), {"before": first.context["older"]})
    assert (listed(older), older.context["older"]) == (refunds[1::-1], None)
    assert listed(alice.get(page(world, "audit_log"), {"action": "acknowledge"})) == [other]
    assert listed(alice.get(page(world, "audit_log"), {"who": "nobody"})) == []
    for nonsense in ({"before": "x"}, {"before": "9" * 40}, {"action": "x"}):
        assert listed(alice.get(page(world, "audit_log"), nonsense)) == [other, refunds[2]]


def test_the_csv_has_every_entry_and_no_formula(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_pages, "CHUNK", 2)
    for _ in range(4):
        record(world, reason="=HYPERLINK(1)")
    record(world, Action.ACKNOWLEDGE)
    answer = log_in(client, "alice").get(page(world, "audit_csv"), {"action": "refund"})
    body = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(body)))
    assert [row["reason"] for row in rows] == ["'=HYPERLINK(1)"] * 4
    assert rows[0]["before"] == '{"spent": 1500000, "state": "booked"}'


@pytest.mark.parametrize(("who", "status"), [("bob", 403), ("vera", 403), ("charlie", 404)])
@pytest.mark.parametrize("name", ["audit_log", "audit_csv"])
def test_others_see_nothing(world: World, client: Client, name: str, who: str, status: int) -> None:
    record(world)
    assert log_in(client, who).get(page(world, name)).status_code == status


def test_another_teams_entries_stay_there(world: World, client: Client) -> None:
    record(world)
    own = world.charlie.memberships.get().team
    assert listed(log_in(client, "charlie").get(f"/t/{own.slug}/audit/")) == []


def test_the_page_asks_a_bounded_number_of_questions(
    world: World, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(10):
        record(world)
    log_in(client, "alice")
    with django_assert_max_num_queries(20):
        client.get(page(world, "audit_log"))
