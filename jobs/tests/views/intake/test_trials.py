"""One picture as a free test: the exact price and a watermarked result, and nothing in the books."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.ledger import operations as ledger
from accounts.models import Transfer
from conftest import World, small_png
from jobs.audit.verify import run as verify
from jobs.models import Job, Price
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.browser import SCRIPT
from jobs.tests.upstream import Server, answer, run
from jobs.views.intake import trials


@pytest.fixture
def bob(client: Client, world: World) -> Client:
    client.force_login(world.bob)
    return client


def send(client: Client, content: bytes | None = None, team: str = "aurora") -> Any:
    picture = SimpleUploadedFile("photo.png", small_png() if content is None else content, "image/png")
    return client.post(reverse("test_picture", args=[team]), {"image": picture}, headers=SCRIPT)


def ask(client: Client, url: str) -> dict[str, Any]:
    response = client.get(url, headers=SCRIPT)
    assert response.status_code == 200
    data: dict[str, Any] = response.json()
    return data


def test_a_test_gives_the_exact_price_and_a_picture_for_nothing(
    world: World, bob: Client, server: Server
) -> None:
    before = ledger.balances(world.team)
    response = send(bob)
    assert response.status_code == 201
    url = response.json()["url"]
    assert ask(bob, url) == {"state": "queued", "label": "waiting", "price": None, "count": 0, "image": None}

    server.script.append(with_price("0.750001"))
    job, _ = run(server)
    assert (job.state, job.test, job.batch, job.origin, job.options) == (
        *("done", True, None, "browser"),
        {"test": "true"},
    )
    assert b'name="test"\r\n\r\ntrue' in server.bodies[0]
    shown = reverse("shown", args=["aurora", job.pk, "after", "page"])
    assert ask(bob, url) == {
        "state": "done",
        "label": "done",
        "price": "0.750001",
        "count": 0,
        "image": shown,
    }
    assert b"".join(bob.get(shown)).startswith(b"RIFF")
    assert ledger.balances(world.team) == before
    assert not Transfer.objects.filter(kind="hold").exists()
    assert not Price.objects.exists()
    assert verify().findings == []


def test_a_test_goes_before_a_batch_that_waits(world: World, bob: Client) -> None:
    """Else whoever tries a picture while a batch of hundreds runs would wait for all of it."""
    batch = world.job()
    send(bob)
    test, then = (claims.claim("a worker") for _ in range(2))
    assert test
    assert (test.test, then) == (True, batch)


def with_price(text: str) -> wire.Step:
    """Answer a test: nothing is charged, and the price is named."""
    return replace(answer(charged=None), headers=(("X-Credits-Calculated", text),))


def test_it_needs_no_credits(world: World, bob: Client) -> None:
    left = ledger.balances(world.team).available
    ledger.adjust(world.team, -left, key="rest", actor=world.alice, memo="for the test")
    assert send(bob).status_code == 201


def test_the_books_page_works_for_a_test(bob: Client, server: Server) -> None:
    send(bob)
    job, _ = run(server)
    assert bob.get(job.get_absolute_url()).status_code == 200
    assert bob.get(reverse("history", args=["aurora"])).status_code == 200


@pytest.mark.parametrize(
    ("fault", "state"),
    [(lambda: wire.error(400, 1006, "no"), "failed"), (lambda: wire.error(402, 1011, "none"), "queued")],
)
def test_a_test_that_fails_says_so(
    bob: Client, server: Server, fault: Callable[[], wire.Step], state: str
) -> None:
    url = send(bob).json()["url"]
    server.script.append(fault())
    run(server)
    found = ask(bob, url)
    assert (found["state"], found["price"], found["image"]) == (state, None, None)
    assert found["label"]
    assert verify(quick=True).findings == []


@pytest.mark.parametrize("header", ["x", "1e5", "-1", "1" * 40])
def test_a_price_that_cannot_be_read_is_none(world: World, bob: Client, server: Server, header: str) -> None:
    url = send(bob).json()["url"]
    server.script.append(with_price(header))
    assert run(server)[0].state == "done"
    assert ask(bob, url)["price"] is None


def test_a_refusal_says_why(bob: Client) -> None:
    response = send(bob, b"a letter")
    assert (response.status_code, "picture we can read" in response.content.decode()) == (400, True)
    response = bob.post(reverse("test_picture", args=["aurora"]), headers=SCRIPT)
    assert (response.status_code, response.content) == (400, b"Choose a picture first.")
    assert not Job.objects.exists()


def test_a_person_tests_a_few_pictures_a_minute(world: World, bob: Client) -> None:
    statuses = [send(bob).status_code for _ in range(trials.TESTS_PER_MINUTE + 1)]
    assert statuses == [201] * trials.TESTS_PER_MINUTE + [429]
    response = send(bob)
    assert 0 < int(response.headers["Retry-After"]) <= 60
    bob.force_login(world.alice)
    assert send(bob).status_code == 201


def test_it_is_for_members_and_their_team(world: World, bob: Client) -> None:
    url = send(bob).json()["url"]
    real = world.job()
    assert bob.get(reverse("tested_picture", args=["aurora", real.pk])).status_code == 404
    bob.force_login(world.vera)
    assert send(bob).status_code == 403
    assert ask(bob, url)["state"] == "queued"
    bob.force_login(world.charlie)
    assert (send(bob).status_code, bob.get(url).status_code) == (404, 404)
