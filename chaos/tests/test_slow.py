"""E23 in its short form: seconds of each kind, in place of a minute."""

import pytest

from chaos.tests.played import Play

WITHIN_SECONDS = 6
"""The promise is 2 on a machine of its own; here two other experiments share its cores."""


@pytest.mark.timeout(300)
def test_forty_slow_strangers_keep_nobody_waiting(play: Play) -> None:
    slow = play("slow", "--seconds", 3, "--patience", 2, "--within", WITHIN_SECONDS, seconds=280)
    assert slow["kinds"] == 9, slow.output
    assert (slow["late"], slow["overdue"]) == (0, 0), slow.output
    assert slow["control"] > 0, "a thread for each of them wasn't noticed"
    assert slow.code == 0
