"""Count the statements that a browser's job costs a worker, from its claim to its booking."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import World
from jobs.queue import claims
from jobs.tests.statements import busy
from jobs.tests.upstream import Server
from jobs.worker.run import process
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases

TRANSACTIONAL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
MOST = 12
"""One of them adds the booking to the usage of its day."""


def statements(queries: CaptureQueriesContext) -> list[str]:
    """Return all but those that begin and end transactions and savepoints."""
    return [query["sql"] for query in queries if not query["sql"].startswith(TRANSACTIONAL)]


def run_one(server: Server) -> list[str]:
    upstream = server.upstream
    with CaptureQueriesContext(connection) as queries:
        job = claims.claim("test")
        assert job
        process(job, upstream, Backoff())
        assert (job.state, job.team.slug) == ("done", "aurora")  # as the pool logs them
    return statements(queries)


def test_a_browsers_job_costs_few_statements(
    committed_world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a busy worker, whose last one was less than a second ago. Otherwise there are two more."""
    busy(monkeypatch)
    for _ in range(3):
        committed_world.job()
    run_one(server)  # the first one of a team opens its turn, and teaches a price
    run_one(server)  # this one reads it
    sql = run_one(server)
    assert len(sql) <= MOST, "\n".join(sql)
