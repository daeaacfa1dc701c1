"""A team's pictures go once they are older than it keeps them, as it was told beforehand."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import AuditEntry, Team
from conftest import World
from jobs.audit.verify import run as verify
from jobs.batches import control
from jobs.batches.register import Listing, register
from jobs.intake.submit import submit_again
from jobs.models import Attempt, Batch, BatchFile, DamagedResult, Job
from jobs.retention import due, erase, purge
from jobs.retention.due import Going
from jobs.tests import upstream as wire
from jobs.tests.clock import Clock
from jobs.tests.retention.erased import cut_out, reused, stored
from jobs.tests.upstream import Server, run
from jobs.worker import periodic

pytestmark = pytest.mark.both_databases

DAY = timedelta(days=1)


def age(job: Job, days: float) -> None:
    then = timezone.now() - days * DAY
    Job.objects.filter(pk=job.pk).update(created_at=then)
    Batch.objects.filter(jobs=job).update(created_at=then)
    Attempt.objects.filter(job=job, ended_at__isnull=False).update(ended_at=then)


def keep(world: World, days: int | None) -> Team:
    """Keep pictures for so long, as of yesterday."""
    due.keep_for(world.team, days, world.alice)
    Team.objects.filter(pk=world.team.pk).update(keep_from=timezone.now())
    world.team.refresh_from_db()
    return world.team


def test_what_is_older_goes_and_the_rest_stays(world: World, server: Server) -> None:
    old, young = cut_out(world, server), cut_out(world, server)
    age(old, 31)
    assert due.erase_due() == 0  # kept for good until somebody says otherwise
    keep(world, 30)
    assert due.erase_due() == 1
    assert list(Job.objects.filter(erased_at=None)) == [young]
    old.refresh_from_db()
    assert old.batch
    assert old.batch.erased_at
    entry = AuditEntry.objects.get(action="erase")
    assert (entry.actor, entry.subject, entry.after) == (None, f"team:{world.team.pk}", {"pictures": 1})
    assert due.erase_due() == 0
    assert verify().findings == []


def test_a_picture_that_waited_is_as_old_as_its_last_call(world: World, server: Server) -> None:
    """Dropped on Friday without credits, cut out on Monday: it isn't gone before anybody has seen it."""
    ledger.adjust(world.team, -100 * CREDIT, key="spent", actor=world.alice, memo="spent")
    job = world.job(batch=uuid4(), number=1, keep=True)
    team = keep(world, 1)
    age(job, 3)
    assert (job.state, due.going(team, 1).pictures, due.erase_due()) == ("kept", 0, 0)
    ledger.grant(world.team, 10 * CREDIT, key="more", actor=world.alice)
    assert control.start_kept() == 1
    assert run(server)[0].state == "done"
    assert (due.going(team, 1).pictures, due.erase_due()) == (0, 0)
    assert due.going(team, 1, ahead=DAY).pictures == 1
    age(job, 1.1)
    assert due.erase_due() == 1


def test_a_failed_one_is_as_old_as_its_last_try(world: World, server: Server) -> None:
    job = world.job()
    server.script.append(wire.error(400, 1006, "no"))
    assert run(server)[0].state == "failed"
    keep(world, 30)
    age(job, 29)
    job.refresh_from_db()
    submit_again(job, world.alice)
    assert run(server)[0].state == "done"
    Job.objects.update(created_at=timezone.now() - 31 * DAY)
    assert due.erase_due() == 0


def test_a_shorter_time_waits_a_day_and_can_be_taken_back(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(cut_out(world, server), 31)
    clock = Clock(monkeypatch)
    due.keep_for(world.team, 30, world.alice)
    clock.pass_by(23 * 3600)
    assert due.erase_due() == 0
    due.keep_for(world.team, None, world.alice)
    clock.pass_by(48 * 3600)
    assert due.erase_due() == 0
    due.keep_for(world.team, 30, world.alice)
    clock.pass_by(25 * 3600)
    assert due.erase_due() == 1
    changes = AuditEntry.objects.filter(action="retention").order_by("pk").values_list("before", "after")
    assert list(changes) == [
        ({"days": None}, {"days": 30}),
        ({"days": 30}, {"days": None}),
        ({"days": None}, {"days": 30}),
    ]


def test_what_will_go_is_said_beforehand(world: World, server: Server) -> None:
    old, soon = cut_out(world, server), cut_out(world, server)
    shared = reused(world)
    age(old, 31)
    age(shared, 31)
    age(soon, 25)
    size = old.source_bytes + (old.result_bytes or 0)
    assert due.going(world.team, None) == Going(0, 0)
    assert due.going(world.team, 30) == Going(2, size)
    assert due.going(world.team, 30, ahead=due.SHOWN_AHEAD) == Going(3, 2 * size)
    keep(world, 30)
    assert due.erase_due() == 2


def test_what_a_person_has_to_decide_stays(world: World, server: Server) -> None:
    damaged, waiting = cut_out(world, server), world.job()
    DamagedResult.objects.create(job=damaged)
    age(damaged, 31)
    age(waiting, 31)
    keep(world, 30)
    assert due.erase_due() == 0


def test_a_batch_that_gets_pictures_again_keeps_them(world: World, server: Server) -> None:
    job = cut_out(world, server)
    age(job, 31)
    keep(world, 30)
    assert job.batch
    new = Listing("new.png", uuid4())
    register(job.batch, [new])
    assert due.erase_due() == 1
    assert (job.batch.files.get(request_id=new.request_id).name, listed(job)) == ("new.png", "")
    BatchFile.objects.update(updated_at=timezone.now() - 31 * DAY)
    due.erase_due()
    batch = Batch.objects.get()
    assert (batch.erased_at is None, listed(job)) == (False, "removed")
    register(batch, [Listing("newer.png", uuid4())])
    assert Batch.objects.get().erased_at is None


def listed(job: Job) -> str:
    """Return the problem of the last file of the job's batch."""
    return BatchFile.objects.filter(batch=job.batch).order_by("number")[1].problem


def test_another_team_keeps_its_own_time(world: World, server: Server) -> None:
    age(cut_out(world, server), 31)
    other = world.charlie.memberships.get().team
    due.keep_for(other, 1, world.charlie)
    Team.objects.update(keep_from=timezone.now())
    assert due.erase_due() == 0


def test_it_goes_in_small_steps_and_stops_when_asked(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase, "AT_ONCE", 2)
    for _ in range(5):
        age(cut_out(world, server), 31)
    keep(world, 30)
    asked = iter([False, True, True, True])
    assert due.erase_due(lambda: next(asked)) == 2
    assert due.erase_due() == 3


def test_the_periodic_task_erases_and_then_deletes(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(cut_out(world, server), 31)
    keep(world, 30)
    clock = Clock(monkeypatch)
    monkeypatch.setattr(periodic, "TASKS", {"retention": periodic.TASKS["retention"]})
    for _ in range(3):
        periodic.run_due(server.upstream)
        clock.pass_by(2 * purge.GRACE.total_seconds())
    assert stored() == []
    assert Job.objects.get().purged_at


def test_no_time_is_not_a_time(world: World) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Team.objects.update(keep_days=0)


def test_what_is_due_is_found_by_an_index(world: World) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL scans a table that is as small as this")
    jobs = erase.erasable(Job.objects.filter(team=world.team, created_at__lt=timezone.now()))
    assert "job_not_erased" in jobs.order_by("created_at").explain()
    assert "job_to_purge" in Job.objects.filter(erased_at__lt=timezone.now(), purged_at=None).explain()
