"""E23 in its short form: seconds of each kind, in place of a minute."""

import pytest

from experiments.tests.played import played


@pytest.mark.timeout(400)
@pytest.mark.parametrize("processes", [1, 2])
def test_forty_slow_strangers_keep_nobody_waiting(processes: int) -> None:
    crowd = ("--processes", processes, "--connections", 40 * processes)  # more than the control has threads
    slow = played("experiments.slow", "--seconds", 5, "--patience", 3, *crowd, seconds=380)
    assert slow["kinds"] == 9, slow.output
    assert (slow["late"], slow["overdue"]) == (0, 0), slow.output
    assert slow["control"] > 0, "a thread for each of them wasn't noticed"
    assert slow.code == 0
