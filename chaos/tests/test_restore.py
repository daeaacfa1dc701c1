"""E26 in its short form: all is lost under load and restored, as docs/operating.md says.

On SQLite alone; ``make soak`` does it on PostgreSQL too.
"""

import pytest

from chaos.tests.played import Play


@pytest.mark.timeout(300)
def test_a_restored_instance_loses_no_file_and_pays_nothing_twice(play: Play) -> None:
    drill = play("restore", "--seconds", 2, seconds=280)
    assert drill["failures"] == 0, drill.output
    assert drill["lost_uploads"] > 0, "nothing was lost that could be named"
    assert drill["paid_since"] > 0, "nothing waited in the copy that was charged since"
    assert drill["called"] > 0, "a worker that calls though it is stopped wasn't noticed"
    assert drill["control"] > 0, "a sweep that deletes strays wasn't noticed"
    assert drill.code == 0
