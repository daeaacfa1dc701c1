from collections.abc import Iterator

import pytest
from django.db import connections
from pytest_django import Settings

from accounts.models import Scope
from conftest import World
from jobs.tests.api.programs import Program, program_of, reach
from jobs.tests.upstream import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def program(
    committed_world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Program]:
    """Of bob, whose calls go to the server. Their threads keep no connection to the database."""
    settings.GATEWAY_WAIT_SECONDS = 1
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    reach(monkeypatch, server.upstream)
    with program_of(committed_world.team, committed_world.bob) as program:
        yield program


@pytest.fixture
def reader(committed_world: World) -> Iterator[Program]:
    """Of bob too, and it only looks."""
    scopes = (Scope.JOBS, Scope.LEDGER, Scope.BALANCE)
    with program_of(committed_world.team, committed_world.bob, scopes) as program:
        yield program
