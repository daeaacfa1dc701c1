"""E2 in its short form: 40 kills, some amid programs' calls, and a few of Celery's processes."""

import pytest

from chaos import servers
from chaos.tests.played import DATABASES, Play

LACKS = servers.postgres_lacks() or servers.redis_lacks()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", DATABASES)
def test_kills_at_random_lose_and_double_nothing(play: Play, database: str) -> None:
    kills = play("kills", "--database", database, "--kills", 40, "--scale", 0.05)
    assert kills["failures"] == 0, kills.output
    assert kills["jobs"] > 20
    assert kills["control"] > 0, "a second charge wasn't noticed"
    assert kills.code == 0


@pytest.mark.timeout(300)
def test_kills_amid_programs_calls_lose_and_double_nothing(play: Play) -> None:
    """On SQLite alone; ``make soak`` does it on PostgreSQL too."""
    kills = play("kills", "--gateway", "--workers", 1, "--kills", 12, "--scale", 0.4)
    assert kills["failures"] == 0, kills.output
    assert kills["repeated"] > 0
    assert kills["control"] > 0, "a request that was charged twice wasn't noticed"
    assert kills.code == 0


@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(LACKS), reason=str(LACKS))
def test_kills_of_celerys_processes_lose_and_double_nothing(play: Play) -> None:
    kills = play("kills", "--celery", "--workers", 3, "--kills", 10, "--scale", 0.7)
    assert kills["failures"] == 0, kills.output
    assert kills["jobs"] >= 15
    assert kills["control"] > 0, "a second charge wasn't noticed"
    assert kills.code == 0
