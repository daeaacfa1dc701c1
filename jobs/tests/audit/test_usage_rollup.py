"""The roll-up of usage is what the ledger and the jobs say, whatever happens and however much at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F, Sum
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.api_keys import keys
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import ApiKey, Membership, Role, Team, Transfer, User
from accounts.teams.create import open_team
from accounts.tests.ledger.test_allowances_raced import behind
from conftest import World
from jobs import plain_sql, usage_days
from jobs.audit import usage_rollup, verify
from jobs.calls import attempts
from jobs.models import Attempt, Batch, Job, UsageDay
from jobs.queue import claims

pytestmark = pytest.mark.both_databases


def job_of(team: Team, user: User, **columns: Any) -> Job:
    """Return a new job of two megapixels, held at two credits unless ``columns`` say otherwise."""
    usual = {"name": "a.png", "source": "a", "source_bytes": 1, "content_type": "image/png"}
    usual |= {"width": 2000, "height": 1000, "estimated_microcredits": 2 * CREDIT}
    return Job.objects.create(team=team, created_by=user, request_id=uuid4(), **usual | columns)


def answered(job: Job, charged: int) -> Attempt:
    """Return the first attempt of a job, whose answer names this charge."""
    attempt = attempts.prepare_first(job, job.created_by)
    columns = {"state": "answered", "sent_at": timezone.now(), "charged_microcredits": charged, "status": 200}
    Attempt.objects.filter(pk=attempt.pk).update(**columns)
    return Attempt.objects.select_related("job", "hold").get(pk=attempt.pk)


def booked(team: Team, user: User, charged: int, **columns: Any) -> Job:
    attempt = answered(job_of(team, user, **columns), charged)
    with claims.writing():
        attempts.book(attempt)
    return attempt.job


def reused(job: Job, user: User, batch: Batch | None = None) -> None:
    again = Job(
        team=job.team,
        created_by=user,
        batch=batch,
        reused_from=job,
        request_id=uuid4(),
        estimated_microcredits=0,
    )
    again.source_bytes = again.width = again.height = 1
    with claims.writing():
        assert plain_sql.insert_if_new(again)
        usage_days.count_reuses([again])


def sums(team: Team) -> dict[str, int]:
    found = team.usage_days.aggregate(**{name: Sum(name) for name in usage_days.COUNTS})
    return {name: int(value or 0) for name, value in found.items()}


def off(team: Team) -> list[UsageDay]:
    return list(usage_rollup.differences(team))


def test_a_booking_counts_its_call_pixels_estimate_hold_and_charge(world: World) -> None:
    booked(world.team, world.bob, 3 * CREDIT)  # with an overage of one
    row = world.team.usage_days.get()
    assert (row.spender, row.api_key, row.batch, row.origin) == (world.bob, None, None, "browser")
    assert (row.calls, row.pixels, row.estimated, row.held, row.booked) == (
        1,
        2_000_000,
        2 * CREDIT,
        2 * CREDIT,
        3 * CREDIT,
    )
    assert ledger.balances(world.team).spent == row.booked
    assert off(world.team) == []


def test_a_charge_of_zero_and_a_release_count_nothing(world: World) -> None:
    booked(world.team, world.bob, 0)
    attempts.release(answered(job_of(world.team, world.bob), CREDIT))
    assert not UsageDay.objects.exists()
    assert off(world.team) == []


def test_a_booking_at_midnight_is_of_the_day_of_its_transfer(
    world: World, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The clock moves on between the transfer and what is written behind it."""
    settings.TIME_ZONE = "America/New_York"
    moments = count()
    before = timezone.now().replace(
        year=2026, month=11, day=6, hour=4, minute=59, second=59, microsecond=999_000
    )
    attempt = answered(job_of(world.team, world.bob), CREDIT)
    monkeypatch.setattr(timezone, "now", lambda: before + next(moments) * timedelta(microseconds=400))
    attempts.book(attempt)
    monkeypatch.undo()
    transfer = Transfer.objects.get(kind="settle")
    assert str(world.team.usage_days.get().day) == str(timezone.localdate(transfer.created_at))
    assert str(timezone.localdate(transfer.created_at)) in ("2026-11-05", "2026-11-06")
    assert off(world.team) == []


def test_a_picture_that_is_uploaded_meanwhile_is_no_duplicate(world: World) -> None:
    """Of two rows with one request's id, only the first is written; the second counts nothing."""
    job = booked(world.team, world.bob, CREDIT)
    columns = {"team": world.team, "created_by": world.bob, "request_id": job.request_id, "reused_from": job}
    again = Job(**columns, source_bytes=1, width=1, height=1, estimated_microcredits=0)
    assert not plain_sql.insert_if_new(again)
    reused(job, world.alice)
    assert (sums(world.team)["duplicates"], sums(world.team)["saved"]) == (1, 2 * CREDIT)
    assert off(world.team) == []


@pytest.fixture
def story(world: World) -> World:
    key = keys.create(world.team, world.bob, "shop")[0]
    batch = Batch.objects.create(id=uuid4(), team=world.team, created_by=world.alice, name="Shoes")
    first = booked(world.team, world.alice, CREDIT, batch=batch)
    booked(world.team, world.alice, 2 * CREDIT, batch=batch)
    booked(world.team, world.bob, 3 * CREDIT, api_key=key, origin="api")
    reused(first, world.bob, batch)
    usage_days.count_rendition(first)
    return world


@pytest.mark.parametrize("name", usage_rollup.RECOMPUTED)
def test_each_planted_difference_is_found_by_verify_and_mended(story: World, name: str) -> None:
    before = sums(story.team)
    row = story.team.usage_days.filter(**{f"{name}__gt": 0}).order_by("pk")[0]
    UsageDay.objects.filter(pk=row.pk).update(**{name: F(name) + 5})
    (found,) = (said for number, said in verify.run(quick=True).findings if number == 8)
    assert f"The usage of Aurora on {row.day} ({row.bucket}) is off by +5 {name}." == found
    call_command("recompute_usage")
    assert off(story.team) == []
    assert sums(story.team) == before


def test_lost_and_invented_rows_are_mended(story: World) -> None:
    before = sums(story.team)
    rows = story.team.usage_days.order_by("pk")
    UsageDay.objects.filter(pk=rows[0].pk).update(day=timezone.localdate() - timedelta(days=3), renditions=0)
    assert len(off(story.team)) == 2
    assert usage_rollup.mend(story.team) == 2
    assert off(story.team) == []
    assert sums(story.team) | {"renditions": 1} == before


class Days(RuleBasedStateMachine):
    """Any order of bookings, decisions and reuses leaves a roll-up that equals its recomputation."""

    def __init__(self) -> None:
        super().__init__()
        tag = Team.objects.count()
        self.people = [User.objects.create_user(f"{tag}-{n}@example.org") for n in range(2)]
        self.team = open_team(f"Any {tag}", self.people[0], 10**12)
        Membership.objects.create(team=self.team, user=self.people[1], role=Role.MEMBER)
        self.keys: list[ApiKey | None] = [None, keys.create(self.team, self.people[1], "shop")[0]]
        self.batches: list[Batch | None] = [None]
        for name in ("Shoes", "Bags"):
            batch = Batch(id=uuid4(), team=self.team, created_by=self.people[0], name=name)
            batch.save()
            self.batches.append(batch)
        self.days, self.spent = 0, 0
        self.jobs: list[Job] = []
        self.now = timezone.now
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(timezone, "now", lambda: self.now() + timedelta(days=self.days))

    def teardown(self) -> None:
        self.patch.undo()

    @rule(hours=st.integers(1, 3))
    def time_passes(self, hours: int) -> None:
        self.days += hours

    @rule(
        who=st.integers(0, 1),
        key=st.integers(0, 1),
        batch=st.integers(0, 2),
        charged=st.sampled_from((0, 1, CREDIT, 2 * CREDIT, 3 * CREDIT)),
        by_a_person=st.booleans(),
    )
    def book(self, who: int, key: int, batch: int, charged: int, by_a_person: bool) -> None:
        columns = {"api_key": self.keys[key], "batch": self.batches[batch]}
        attempt = answered(job_of(self.team, self.people[who], **columns), charged)
        if by_a_person:
            attempts.mark_in_doubt(attempt)
            attempts.resolve(attempt, charged, self.people[0], "seen")
        else:
            attempts.book(attempt)
        self.spent += charged
        self.jobs.append(attempt.job)

    @precondition(lambda self: self.jobs)
    @rule(who=st.integers(0, 1), batch=st.integers(0, 2))
    def reuse(self, who: int, batch: int) -> None:
        reused(self.jobs[0], self.people[who], self.batches[batch])

    @rule()
    def restyle(self) -> None:
        if self.jobs:
            usage_days.count_rendition(self.jobs[-1])

    @invariant()
    def the_rollup_is_its_recomputation(self) -> None:
        assert off(self.team) == []
        assert sums(self.team)["booked"] == self.spent == ledger.balances(self.team).spent


def test_the_rollup_holds_whatever_happens(db: None) -> None:
    few = settings(
        max_examples=10, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Days, settings=few)


# At once ----------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(committed_world: World) -> list[Attempt]:
    """Attempts of one person that are answered, and not booked yet."""
    return [answered(job_of(committed_world.team, committed_world.bob), CREDIT) for _ in range(6)]


def test_bookings_and_renditions_at_once_are_all_counted(
    committed_world: World, pairs: list[Attempt]
) -> None:
    team, start = committed_world.team, threading.Barrier(2 * len(pairs))

    def book(attempt: Attempt) -> None:
        with claims.writing():
            attempts.book(attempt)

    def restyle(attempt: Attempt) -> None:
        with claims.writing():
            usage_days.count_rendition(attempt.job)

    def one(step: Any, attempt: Attempt) -> None:
        start.wait(30)
        try:
            step(attempt)
        finally:
            connection.close()

    with ThreadPoolExecutor(2 * len(pairs)) as pool:
        for done in [pool.submit(one, step, attempt) for attempt in pairs for step in (book, restyle)]:
            done.result(60)
    assert (sums(team)["calls"], sums(team)["booked"], sums(team)["renditions"]) == (6, 6 * CREDIT, 6)
    assert team.usage_days.count() == 1
    assert off(team) == []


def test_a_mend_beside_a_booking_counts_it_once(committed_world: World, pairs: list[Attempt]) -> None:
    team = committed_world.team
    attempts.book(pairs[0])
    team.usage_days.update(calls=7)
    behind(lambda: attempts.book(pairs[1]), lambda: usage_rollup.mend(team))
    assert (sums(team)["calls"], off(team)) == (2, [])


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets in one writer at a time")
def test_read_and_written_back_a_count_is_lost(
    committed_world: World, pairs: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    job = pairs[0].job
    usage_days.count_rendition(job)

    def read_and_write_back(row: UsageDay) -> None:
        stored = UsageDay.objects.get(team=row.team_id, day=row.day, bucket=row.bucket)
        stored.renditions += row.renditions
        stored.save()

    def restyle() -> None:
        with transaction.atomic():
            usage_days.count_rendition(job)

    monkeypatch.setattr(usage_days, "add", read_and_write_back)
    behind(restyle, restyle)
    assert sums(committed_world.team)["renditions"] == 2  # of three
