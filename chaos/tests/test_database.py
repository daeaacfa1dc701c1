"""E3 in its short form: a few kills."""

import pytest

from chaos.tests.played import DATABASES, Play


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", DATABASES)
def test_what_was_acknowledged_outlives_the_database(play: Play, database: str) -> None:
    deaths = play("database", "--database", database, "--kills", 2)
    assert deaths["failures"] == 0, deaths.output
    assert deaths["acknowledged"] > 20
    assert deaths["control"] > 0, "an upload acknowledged too early wasn't missed"
    assert deaths.code == 0
