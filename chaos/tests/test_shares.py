"""E25 in its short form."""

import pytest

from chaos.tests.played import Play


@pytest.mark.timeout(180)
def test_one_key_keeps_no_other_out(play: Play) -> None:
    shares = play("shares", "--seconds", 8, "--within", 6, seconds=170)
    assert shares["late"] == 0, shares.output
    assert shares["control"] > 0, "a gateway without shares wasn't noticed"
    assert shares.code == 0
