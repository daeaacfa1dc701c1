"""E1 in its short form: every n-th point of each answer. ``make soak`` freezes workers there too."""

import pytest

from chaos.tests.played import DATABASES, Play


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", DATABASES)
def test_a_crash_at_any_point_loses_and_doubles_nothing(play: Play, database: str) -> None:
    crash = play("crash", "--database", database, "--every", 90, "--chains", 0)
    assert (crash["failures"], crash["missed"]) == (0, 0), crash.output
    assert crash["cases"] > 12
    assert crash["control"] > 0, "booking before storing wasn't noticed"
    assert crash.code == 0
