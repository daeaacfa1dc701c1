"""E27 in its short form: two small batches, each over lines that are cut, with all three accidents.

On SQLite alone; ``make soak`` does it on PostgreSQL too.
"""

import pytest

from chaos.tests.played import Play


@pytest.mark.timeout(300)
def test_a_batch_over_lines_that_are_cut_loses_and_doubles_nothing(play: Play) -> None:
    batch = play("batch", "--photos", 30, seconds=280)
    assert batch["failures"] == 0, batch.output
    assert (batch["runs"], batch["photos"]) == (2, 60)
    assert batch["repeated"] > 0, "no line was ever cut"
    assert batch["kept"] > 0, "nothing waited for credits"
    assert batch["control"] == 30, "everything in one request got through"
    assert batch.code == 0
