"""One picture's page: who sees it, and trying again."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Membership, Transfer, User
from conftest import World, hold_of
from jobs.models import Job
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

SCRIPT = {"HX-Request": "true"}
MISSING = [0, 999_999, 10**30]


def page(world: World, name: str, pk: int) -> str:
    return reverse(name, args=[world.team.slug, pk])


def again(client: Client, world: World, user: User, pk: int) -> Any:
    client.force_login(user)
    return client.post(page(world, "again", pk))


def told(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.fixture
def failed(world: World, server: Server) -> Job:
    world.job(user=world.bob)
    server.script.append(wire.error(400, 1006, "Too dark to see"))
    return run(server)[0]


def test_the_page_says_what_it_cost_and_why(world: World, client: Client, server: Server) -> None:
    world.job(user=world.bob)
    server.script.extend([wire.error(500), wire.answer(charged="0.777")])
    run(server)
    job, _ = run(server)
    client.force_login(world.vera)

    response = client.get(job.get_absolute_url())
    assert response.status_code == 200
    text = response.content.decode()
    for expected in ("photo.png", "bob@example.org", "0.777", "matched", "released", "HTTP 500"):
        assert expected in text
    assert page(world, "download", job.pk) in text
    assert [number.number for number, *_ in response.context["attempts"]] == [1, 2]


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("bob", 200), ("vera", 200), ("charlie", 404)])
def test_who_sees_it(world: World, client: Client, who: str, status: int) -> None:
    job = world.job()
    client.force_login(getattr(world, who))
    assert client.get(job.get_absolute_url()).status_code == status


def test_strangers_are_sent_to_the_log_in(world: World, client: Client) -> None:
    job = world.job()
    assert client.get(job.get_absolute_url()).status_code == 302
    assert client.get(job.get_absolute_url(), headers=SCRIPT).status_code == 401
    assert client.post(page(world, "again", job.pk)).status_code == 302


@pytest.mark.parametrize("pk", MISSING)
def test_a_job_that_is_not_there_is_not_found(world: World, client: Client, pk: int) -> None:
    client.force_login(world.alice)
    assert client.get(page(world, "job", pk)).status_code == 404
    assert client.post(page(world, "again", pk)).status_code == 404


def test_a_job_is_not_found_through_another_team(world: World, client: Client, failed: Job) -> None:
    client.force_login(world.charlie)
    for method, name in ((client.get, "job"), (client.post, "again")):
        assert method(reverse(name, args=["outsiders", failed.pk])).status_code == 404
    assert failed.attempts.count() == 1


def test_the_page_of_a_failed_job_says_why(world: World, client: Client, failed: Job) -> None:
    client.force_login(world.bob)
    text = client.get(failed.get_absolute_url()).content.decode()
    assert "Too dark to see" in text
    assert page(world, "again", failed.pk) in text


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_failed_job_is_tried_again(
    world: World, client: Client, server: Server, failed: Job, who: str
) -> None:
    user = getattr(world, who)
    response = again(client, world, user, failed.pk)
    assert (response.status_code, response.headers["Location"]) == (302, failed.get_absolute_url())
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, held=CREDIT)

    job, _ = run(server)
    assert (job.state, job.last_attempt.number, hold_of(job.last_attempt).actor) == ("done", 2, user)


@pytest.mark.parametrize(("who", "status"), [("vera", 403), ("charlie", 404)])
def test_who_may_not_spend_may_not_try_again(
    world: World, client: Client, failed: Job, who: str, status: int
) -> None:
    assert again(client, world, getattr(world, who), failed.pk).status_code == status
    failed.refresh_from_db()
    assert (failed.state, failed.attempts.count()) == ("failed", 1)
    assert ledger.balances(world.team).held == 0


def test_a_viewer_is_not_offered_it(world: World, client: Client, failed: Job) -> None:
    client.force_login(world.vera)
    assert page(world, "again", failed.pk) not in client.get(failed.get_absolute_url()).content.decode()


def test_a_finished_job_is_not_tried_again(world: World, client: Client, server: Server) -> None:
    world.job()
    job, _ = run(server)
    response = again(client, world, world.bob, job.pk)
    assert response.status_code == 302
    assert "in progress or done" in told(response)
    assert job.attempts.count() == 1
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


def test_a_job_in_doubt_is_not_tried_again(world: World, client: Client, server: Server) -> None:
    world.job()
    server.script.append(wire.no_answer)
    job, _ = run(server)
    again(client, world, world.bob, job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts.count()) == ("in_doubt", 1)


def test_two_clicks_are_one_attempt(world: World, client: Client, failed: Job) -> None:
    again(client, world, world.bob, failed.pk)
    assert "in progress" in told(again(client, world, world.bob, failed.pk))
    assert failed.attempts.count() == 2
    assert ledger.balances(world.team).held == CREDIT


def test_no_credits_are_reported_and_change_nothing(world: World, client: Client, failed: Job) -> None:
    ledger.adjust(world.team, -100 * CREDIT, key="rest", actor=world.alice, memo="for the test")
    response = again(client, world, world.bob, failed.pk)
    assert response.status_code == 302
    assert "enough credits" in told(response)
    failed.refresh_from_db()
    assert (failed.state, failed.reason, failed.attempts.count()) == ("failed", "refused", 1)


def test_an_allowance_that_does_not_reach_is_reported_and_changes_nothing(
    world: World, client: Client, failed: Job
) -> None:
    member = Membership.objects.get(team=world.team, user=world.bob)
    allowances.grant(member, limit=CREDIT // 2, period="week")
    before = Transfer.objects.count()
    response = again(client, world, world.bob, failed.pk)
    assert response.status_code == 402
    assert "your allowance has only 0.5 left: 0 of 0.5 per week are used" in response.content.decode()
    assert page(world, "again", failed.pk) in response.content.decode()
    failed.refresh_from_db()
    assert (failed.state, failed.reason, failed.attempts.count()) == ("failed", "refused", 1)
    assert (Transfer.objects.count(), allowances.spender_standings(world.team, world.bob)[0].used) == (
        before,
        0,
    )
    assert again(client, world, world.alice, failed.pk).status_code == 302


def test_a_forged_click_is_refused(world: World, failed: Job) -> None:
    client = Client(enforce_csrf_checks=True)
    assert again(client, world, world.bob, failed.pk).status_code == 403
    assert failed.attempts.count() == 1


def test_a_link_alone_does_not_spend(world: World, client: Client, failed: Job) -> None:
    client.force_login(world.bob)
    assert client.get(page(world, "again", failed.pk)).status_code == 405


def test_the_fragment_says_nothing_until_something_has_changed(
    world: World, client: Client, server: Server
) -> None:
    job = world.job()
    client.force_login(world.bob)
    first = client.get(job.get_absolute_url(), headers=SCRIPT)
    assert first.status_code == 200
    assert "<html" not in first.content.decode()
    seen = {"seen": first.context["seen"]}
    assert client.get(job.get_absolute_url(), seen, headers=SCRIPT).status_code == 204
    run(server)
    assert client.get(job.get_absolute_url(), seen, headers=SCRIPT).status_code == 200
