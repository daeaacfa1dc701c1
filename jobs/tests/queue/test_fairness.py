"""E20: teams take turns, so that the thousands of one don't hold up the only picture of another."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Team
from accounts.teams.create import open_team
from conftest import World
from jobs.models import Job, Turn
from jobs.models.job import JobQuerySet
from jobs.queue import claims, scheduling

pytestmark = pytest.mark.both_databases

MANY = 5000


def rows(world: World, team: Team, count: int, **columns: object) -> list[Job]:
    """So many queued jobs, straight into the table: only claiming is looked at."""
    fixed = {"team": team, "created_by": world.alice, "source": "x.png", "source_bytes": 1}
    size = {"width": 9, "height": 9, "estimated_microcredits": 81, "content_type": "image/png"}
    jobs = [Job(name=f"{n}", request_id=uuid4(), **fixed | size | columns) for n in range(count)]
    return Job.objects.bulk_create(jobs)


@pytest.fixture
def others(world: World) -> Team:
    return Team.objects.get(slug="outsiders")


@pytest.fixture
def busy(world: World) -> Team:
    """A team that has much queued and has been served for a while."""
    rows(world, world.team, 50)
    serve(3)
    return world.team


@pytest.fixture
def flooding(world: World, busy: Team) -> Team:
    """The same with thousands."""
    rows(world, busy, MANY)
    return busy


def served() -> Job:
    """The next job, claimed and ended."""
    job = claims.claim("test")
    assert job
    claims.fail(job, Job.Reason.REFUSED)
    return job


def serve(times: int) -> list[str]:
    """The teams that are served next, in order."""
    return [served().team.slug for _ in range(times)]


def test_the_only_picture_of_another_team_is_next(world: World, flooding: Team, others: Team) -> None:
    rows(world, others, 1)
    assert serve(1) == ["outsiders"]


def test_a_team_that_was_just_served_waits_for_one_turn(world: World, busy: Team, others: Team) -> None:
    rows(world, others, 1)
    serve(1)
    rows(world, others, 1)
    assert "outsiders" in serve(2)


def test_then_the_first_team_goes_on(world: World, busy: Team, others: Team) -> None:
    rows(world, others, 1)
    assert serve(4) == ["outsiders", "aurora", "aurora", "aurora"]


def test_with_every_slot_taken_it_starts_within_the_next_two(
    world: World, flooding: Team, others: Team
) -> None:
    """Five calls are in flight, as many as may be; then one after the other ends."""
    running = list(iter(lambda: claims.claim("test"), None))
    assert [job.team for job in running] == [flooding] * 5
    rows(world, others, 1)
    begun = []
    for job in running[:2]:
        claims.fail(job, Job.Reason.REFUSED)
        claimed = claims.claim("test")
        assert claimed
        begun.append(claimed.team)
    assert others in begun


def test_three_teams_are_served_in_rotation(world: World, busy: Team, others: Team) -> None:
    third = open_team("Third", world.bob, 0)
    rows(world, others, 3)
    rows(world, third, 2)
    turns = serve(9)
    assert sorted(turns[:3]) == sorted(turns[3:6]) == ["aurora", "outsiders", "third"]
    assert sorted(turns[6:]) == ["aurora", "aurora", "outsiders"]


def test_programs_go_before_batches_within_a_team(world: World, busy: Team) -> None:
    program = rows(world, busy, 1, priority=Job.Priority.API)[0]
    assert served() == program
    assert served().priority == Job.Priority.BATCH


def test_but_not_before_another_teams_batch(world: World, busy: Team, others: Team) -> None:
    rows(world, busy, 20, priority=Job.Priority.API)
    rows(world, others, 1, priority=Job.Priority.BATCH)
    assert "outsiders" in serve(2)


def test_a_team_whose_pictures_wait_is_passed_over(world: World, busy: Team, others: Team) -> None:
    rows(world, others, 1, run_after=timezone.now() + timedelta(minutes=1))
    assert serve(2) == ["aurora", "aurora"]


def test_whoever_came_back_after_a_day_is_not_served_for_a_day(
    world: World, busy: Team, others: Team
) -> None:
    """A turn is one turn, however long ago the last one was."""
    Turn.objects.create(team=others, served_at=timezone.now() - timedelta(days=1))
    rows(world, others, 10)
    assert serve(4).count("outsiders") == 2


def test_first_in_first_out_lets_the_one_wait_for_thousands(
    world: World, flooding: Team, others: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""

    def first_in(now: datetime, _place: int) -> JobQuerySet:
        return Job.objects.claimable(now).order_by("run_after", "pk")

    monkeypatch.setattr(scheduling, "next_jobs", first_in)
    one = rows(world, others, 1)[0]
    assert serve(20) == ["aurora"] * 20
    before = Job.objects.claimable(timezone.now()).filter(team=flooding)
    assert before.count() == 50 + MANY - 23
    before.exclude(pk=before.latest("pk").pk).update(state="failed")
    assert serve(1) == ["aurora"]
    assert served() == one


# However many have ended ---------------------------------------------------------------------------------

reads_an_index = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="PostgreSQL reads a table as small as this one as a whole"
)


@reads_an_index
def test_a_look_at_the_queue_reads_unfinished_jobs_alone(world: World) -> None:
    """Else a worker that polls would read every job there ever was, five times a second."""
    ready = Job.objects.claimable(timezone.now())
    assert "job_unfinished" in ready.explain()
    plan = ready.filter(team=world.team).order_by("-priority", "run_after", "pk").explain()
    assert "job_unfinished (team_id=?)" in plan
    assert "ORDER BY" not in plan  # it comes in order
    assert (
        "job_unfinished (team_id=? AND priority>?)"
        in Job.objects.before(rows(world, world.team, 1)[0]).explain()
    )
    assert "job_running" in Job.objects.in_flight(timezone.now()).explain()


@reads_an_index
def test_with_the_states_as_parameters_the_index_would_not_be_read(world: World) -> None:
    """The control."""
    assert "job_unfinished" not in Job.objects.filter(state__in=["queued", "running"]).explain()
