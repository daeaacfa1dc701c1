"""Search the history: the address says the filter, the figures follow, and all of it leaves as CSV."""

import csv
import io
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from conftest import World, small_png
from jobs.audit import history_export
from jobs.tests.upstream import Server, answer, run

pytestmark = pytest.mark.both_databases

PART = {"HX-Request": "true", "HX-Target": "results"}


@pytest.fixture
def bob(world: World, client: Client) -> Client:
    client.force_login(world.bob)
    return client


@pytest.fixture
def shoes(world: World, server: Server) -> None:
    """Two pictures of alice, of which one was charged, and one of bob."""
    for name in ("red shoe.png", "=HYPERLINK(1).png"):
        world.job(small_png(1000, 1000), name=name)
        server.script.append(answer(charged="0.75"))
        run(server)
    world.job(small_png(9, 9), user=world.bob, name="blue shoe.png")


def ask(client: Client, world: World, route: str = "history", **query: Any) -> Any:
    headers = query.pop("headers", None)
    return client.get(reverse(route, args=[world.team.slug]), query, headers=headers)


def names(response: Any) -> list[str]:
    assert response.status_code == 200
    return [row.job.name for row in response.context["rows"]]


@pytest.mark.usefixtures("shoes")
def test_the_address_is_the_search(world: World, bob: Client) -> None:
    assert names(ask(bob, world, name="SHOE")) == ["blue shoe.png", "red shoe.png"]
    assert names(ask(bob, world, name="shoe", person=world.alice.pk)) == ["red shoe.png"]
    assert names(ask(bob, world, verdict="open")) == ["blue shoe.png"]
    assert names(ask(bob, world, until="2020-01-01", name="shoe")) == []
    page = ask(bob, world, name="red").content.decode()
    assert 'value="red"' in page
    assert "history.csv?name=red" in page


@pytest.mark.usefixtures("shoes")
def test_a_script_gets_the_part_below_the_field(world: World, bob: Client) -> None:
    part = ask(bob, world, name="red", since="", headers=PART)
    assert part.content.decode().lstrip().startswith('<div id="results">')
    assert part["HX-Replace-Url"] == "/t/aurora/history/?name=red"
    assert "HX-Target" in part["Vary"]
    restored = ask(bob, world, headers=PART | {"HX-History-Restore-Request": "true"})
    assert "<html" in restored.content.decode()


@pytest.mark.usefixtures("shoes")
def test_figures_are_counted_for_the_filter(world: World, bob: Client) -> None:
    figures = ask(bob, world, "history_counts", person=world.alice.pk).context["facets"]
    assert (figures.total, figures.charged, figures.booked) == (2, 1_500_000, 1_500_000)
    page = ask(bob, world, "history_counts").content.decode()
    assert "alice@example.org <b>2</b>" in page
    assert "bob@example.org <b>1</b>" in page
    assert "charlie" not in page


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-03-02", "until": "2026-03-01"},
        {"since": "yesterday"},
        {"state": "lost"},
        {"verdict": "fine"},
        {"person": "-1"},
        {"person": "9" * 30},
        {"batch": "1"},
    ],
)
def test_what_makes_no_sense_is_refused_and_lists_nothing(
    world: World, bob: Client, query: dict[str, str]
) -> None:
    response = ask(bob, world, **query)
    assert (response.status_code, "nothing is listed" in response.content.decode()) == (400, True)
    assert ask(bob, world, headers=PART, **query).status_code == 200  # htmx shows no others
    assert ask(bob, world, "history_csv", **query).status_code == 400
    assert ask(bob, world, "history_counts", **query).status_code == 400


def test_a_hostile_name_is_text(world: World, bob: Client) -> None:
    world.job(small_png(9, 9), name="<img src=x onerror=alert(1)>.png")
    page = ask(bob, world, name="<img").content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page


@pytest.mark.usefixtures("shoes")
def test_all_of_the_filtered_set_leaves_as_csv(
    world: World, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_export, "PAGE", 1)
    response = ask(bob, world, "history_csv", person=world.alice.pk)
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["'=HYPERLINK(1).png", "red shoe.png"]
    row = rows[1]
    assert (row["estimated"], row["charged"], row["booked"]) == ("1", "0.75", "0.75")
    assert (row["verdict"], row["charge_headers"], row["person"]) == ("matched", "0.75", "alice@example.org")


@pytest.mark.usefixtures("shoes")
def test_another_teams_filter_values_are_not_told(world: World, client: Client) -> None:
    client.force_login(world.charlie)
    address = reverse("history_counts", args=["outsiders"])
    page = client.get(address, {"person": world.alice.pk}).content.decode()
    assert "alice" not in page
    assert client.get(reverse("history_csv", args=[world.team.slug])).status_code == 404
