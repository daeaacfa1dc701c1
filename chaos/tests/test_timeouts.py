"""E4 in its short form: 200 seconds are 8."""

import pytest

from chaos.tests.played import Play


@pytest.mark.timeout(300)
def test_an_answer_that_comes_too_late_is_a_doubt_and_never_a_second_call(play: Play) -> None:
    late = play("timeouts")
    assert late["failures"] == 0, late.output
    assert late["decided"] > 0
    assert late["doubted_at_60_s"] > 0
    assert late["control"] > 0, "a second charge wasn't noticed"
    assert late.code == 0
