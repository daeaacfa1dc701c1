"""Why a picture waits, how often it was sent, and what a person decided: told on its page."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.ledger.operations import Balances
from accounts.models import Team, User
from conftest import World
from jobs.audit import review
from jobs.models import Job
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

SCRIPT = {"HX-Request": "true"}


def shown(client: Client, user: User, job: Job) -> str:
    client.force_login(user)
    return " ".join(client.get(job.get_absolute_url()).content.decode().split())


def test_the_page_says_how_many_pictures_come_before_it(world: World, client: Client) -> None:
    jobs = [world.job() for _ in range(4)]
    assert "ahead of it" not in shown(client, world.vera, jobs[0])
    assert "1 picture of the team is ahead of it." in shown(client, world.vera, jobs[1])
    assert "3 pictures of the team are ahead of it." in shown(client, world.vera, jobs[3])


def test_what_comes_before_is_by_turn_and_of_the_team_alone(world: World) -> None:
    now = timezone.now()
    waiting = world.job()
    Job.objects.update(run_after=now)
    waiting.refresh_from_db()
    assert not Job.objects.before(waiting).exists()
    columns: list[tuple[bool, dict[str, Any]]] = [
        (True, {"priority": Job.Priority.API, "run_after": now + timedelta(hours=1)}),
        (True, {"run_after": now - timedelta(seconds=1)}),
        (False, {"run_after": now + timedelta(seconds=1)}),
        (False, {"run_after": now}),  # the same moment, but a later number
        (False, {"run_after": now - timedelta(seconds=1), "state": "failed"}),
        (False, {"run_after": now - timedelta(seconds=1), "team": Team.objects.get(slug="outsiders")}),
    ]
    expected = []
    for before, changes in columns:
        job = world.job()
        Job.objects.filter(pk=job.pk).update(**changes)
        expected += [job.pk] if before else []
    assert sorted(Job.objects.before(waiting).values_list("pk", flat=True)) == expected


def test_as_many_are_claimed_before_it_as_were_told(world: World) -> None:
    jobs = [world.job() for _ in range(4)]
    Job.objects.filter(pk=jobs[3].pk).update(priority=Job.Priority.API)
    told = {job.pk: Job.objects.before(Job.objects.get(pk=job.pk)).count() for job in jobs}
    claimed = [job.pk for job in iter(lambda: claims.claim("test"), None)]
    assert [told[pk] for pk in claimed] == [0, 1, 2, 3]


def test_the_fragment_tells_when_fewer_come_before_it(world: World, client: Client) -> None:
    first, second = world.job(), world.job()
    client.force_login(world.bob)
    seen = {"seen": client.get(second.get_absolute_url(), headers=SCRIPT).context["seen"]}
    assert client.get(second.get_absolute_url(), seen, headers=SCRIPT).status_code == 204
    Job.objects.filter(pk=first.pk).update(state="failed")
    assert client.get(second.get_absolute_url(), seen, headers=SCRIPT).status_code == 200


def test_the_page_says_how_often_it_was_sent(world: World, client: Client, server: Server) -> None:
    world.job()
    server.script.extend([wire.error(429, 1015, "Slow down")] * 2)
    job, _ = run(server)
    assert "sent 1 times" not in shown(client, world.bob, job)
    assert "Slow down (1015)" in shown(client, world.bob, job)
    assert "Pixian asked us to wait. Next attempt at" in shown(client, world.bob, job)
    run(server)
    run(server)
    text = shown(client, world.bob, job)
    assert "sent 3 times" in text
    assert "Slow down" not in text


def test_the_page_says_who_decided_what_it_was_charged_and_why(
    world: World, client: Client, server: Server
) -> None:
    world.job()
    server.script.append(wire.no_answer)
    job, _ = run(server)
    assert "Reviewed by" not in shown(client, world.vera, job)
    review.resolve(job.last_attempt, 600_000, world.alice, "The balance fell by 0.6 <at once>")
    text = shown(client, world.vera, job)
    assert "Reviewed by alice@example.org" in text
    assert "The balance fell by 0.6 &lt;at once&gt;" in text
    assert "0.6" in text
    assert ledger.balances(world.team) == Balances(available=99_400_000, spent=600_000)


def test_the_page_says_when_a_worker_has_gone_silent(world: World, client: Client) -> None:
    job = world.job()
    silent = "Its worker stopped responding. Another one will take over."
    assert silent not in shown(client, world.bob, job)
    assert claims.claim("killed")
    assert silent not in shown(client, world.bob, job)
    seen = {"seen": client.get(job.get_absolute_url(), headers=SCRIPT).context["seen"]}
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert silent in shown(client, world.bob, job)
    assert client.get(job.get_absolute_url(), seen, headers=SCRIPT).status_code == 200


@pytest.mark.parametrize(
    ("state", "lease", "stalled"),
    [
        ("running", -1, True),
        ("running", 60, False),
        ("queued", None, False),
        ("queued", -1, False),
        ("failed", -1, False),
    ],
)
def test_only_a_running_job_without_a_lease_is_stalled(state: str, lease: int | None, stalled: bool) -> None:
    until = None if lease is None else timezone.now() + timedelta(seconds=lease)
    assert Job(state=state, lease_until=until).is_stalled is stalled
