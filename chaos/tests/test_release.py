"""E32 in its short form: the worker of an older release processes a few pictures, on SQLite."""

import pytest

from chaos import release
from chaos.tests.played import Play

LACKS = "LEFT OUT: the worker of an older release, since its commit isn't in this clone"


@pytest.mark.timeout(300)
@pytest.mark.skipif(not release.older(), reason=LACKS)
def test_an_older_worker_processes_what_todays_web_takes_in(play: Play) -> None:
    played = play("release", "--uploads", 1)
    assert played["failures"] == 0, played.output
    assert played["jobs"] == 4, "a program's, two of a person, and the control's"
    assert played["jobs"] == played["booked"] + 1, "all but the control's are booked"
    assert played["control"] > 0, "a column that the worker doesn't know did no harm"
    assert played.code == 0
