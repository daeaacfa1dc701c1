"""E1 in its short form: every n-th point of each answer, and some chains."""

import pytest

from chaos.tests.played import DATABASES, Play


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", DATABASES)
def test_a_crash_at_any_point_loses_and_doubles_nothing(play: Play, database: str) -> None:
    crash = play("crash", "--database", database, "--every", 60, "--chains", 1)
    assert (crash["failures"], crash["missed"]) == (0, 0), crash.output
    assert crash["cases"] > 25
    assert crash["control"] > 0, "booking before storing wasn't noticed"
    assert crash.code == 0


@pytest.mark.timeout(300)
def test_a_worker_that_wakes_up_too_late_changes_nothing(play: Play) -> None:
    """On SQLite alone; ``make soak`` does it on PostgreSQL too, and E5 freezes workers there."""
    freeze = play("crash", "--freeze", "--every", 120)
    assert (freeze["failures"], freeze["missed"]) == (0, 0), freeze.output
    assert freeze["cases"] > 4
    assert freeze.code == 0
