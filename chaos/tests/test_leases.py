"""E5 in its short form: long calls, and a worker frozen at each point and a dozen at random."""

import pytest

from chaos.tests.played import DATABASES, Play


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", DATABASES)
def test_a_worker_that_was_frozen_changes_nothing_any_more(play: Play, database: str) -> None:
    leases = play("leases", "--database", database)
    assert leases["failures"] == 0, leases.output
    assert leases["frozen"] > 15
    assert leases["doubted_without_heartbeat"] > 0, "no worker was hungry"
    assert leases["control"] > 0, "a second charge wasn't noticed"
    assert leases.code == 0
