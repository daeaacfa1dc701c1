"""E5 in its short form: long calls, and a worker frozen at each point and a dozen at random.

On PostgreSQL if it is here; ``make soak`` does it on both databases.
"""

import pytest

from chaos import servers
from chaos.tests.played import Play

DATABASE = "sqlite" if servers.postgres_lacks() else "postgresql"


@pytest.mark.timeout(300)
def test_a_worker_that_was_frozen_changes_nothing_any_more(play: Play) -> None:
    leases = play("leases", "--database", DATABASE)
    assert leases["failures"] == 0, leases.output
    assert leases["frozen"] > 15
    assert leases["doubted_without_heartbeat"] > 0, "no worker was hungry"
    assert leases["control"] > 0, "a second charge wasn't noticed"
    assert leases.code == 0
