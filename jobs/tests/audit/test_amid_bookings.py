"""A person decides about a call amid another call of the team: neither waits for the other in a circle.

The call has locked the team's accounts, and checks at its commit that the team is there. On PostgreSQL a
decision that locks the team's row too, and then wants the accounts, would end in a deadlock.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models import QuerySet

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import User
from accounts.tests.ledger.test_allowances_raced import behind
from conftest import World
from jobs.audit import giving_back, review
from jobs.models import Job
from jobs.tests.audit.test_giving_back import charged
from jobs.tests.audit.test_review import in_doubt
from jobs.tests.upstream import Server

pytestmark = pytest.mark.both_databases


@pytest.fixture
def world(committed_world: World) -> World:
    """Visible to the threads of both."""
    return committed_world


def _resolve(world: World, server: Server) -> Callable[[User], Any]:
    attempt = in_doubt(world, server)
    return lambda person: review.resolve(attempt, 0, person, "they told me")


def _refund(world: World, server: Server) -> Callable[[User], Any]:
    attempt = charged(world, server, "1")
    return lambda person: giving_back.refund(attempt, CREDIT // 2, person, "half a picture")


@pytest.fixture(params=[_resolve, _refund])
def decide(request: pytest.FixtureRequest, world: World, server: Server) -> Callable[[User], Any]:
    made: Callable[[User], Any] = request.param(world, server)
    return made


def decide_behind_a_hold(world: World, decide: Callable[[User], Any]) -> None:
    root = User.objects.create_user("root@example.org", is_staff=True)
    behind(
        lambda: ledger.hold(world.team, CREDIT, key="other", reference="job:9:1", actor=world.bob),
        lambda: decide(root),
    )


def test_both_are_booked(world: World, decide: Callable[[User], Any]) -> None:
    decide_behind_a_hold(world, decide)
    assert ledger.balances(world.team).held == CREDIT


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets in one writer at a time")
def test_who_locks_the_team_too_waits_in_a_circle(
    world: World, decide: Callable[[User], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    lock = QuerySet.select_for_update

    def lock_all(jobs: Any, *, of: tuple[str, ...] = (), **options: Any) -> Any:
        return lock(jobs, of=() if jobs.model is Job else of, **options)

    monkeypatch.setattr(QuerySet, "select_for_update", lock_all)
    with pytest.raises(OperationalError, match="deadlock"):
        decide_behind_a_hold(world, decide)
