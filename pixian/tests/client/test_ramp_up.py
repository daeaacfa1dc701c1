from itertools import pairwise

import pytest

from pixian.client.ramp_up import START, STEP_SECONDS, allowed


@pytest.mark.parametrize(
    ("seconds", "ceiling", "calls"),
    [
        (0, 100, 5),
        (299.9, 100, 5),
        (300, 100, 6),
        (599, 100, 6),
        (600, 100, 7),
        (3600, 100, 17),
        (28_200, 100, 99),
        (28_500, 100, 100),
        (10**9, 100, 100),
        (0, 3, 3),  # a ceiling below the start
        (10**9, 3, 3),
        (0, 1, 1),
        (-1, 100, 5),  # another host's clock is behind
        (-(10**9), 100, 5),
    ],
)
def test_five_calls_at_first_and_one_more_every_five_minutes(
    seconds: float, ceiling: int, calls: int
) -> None:
    assert allowed(seconds, START, ceiling) == calls


@pytest.mark.parametrize(
    ("seconds", "start", "calls"),
    [
        (0, 40, 40),
        (299.9, 40, 40),
        (300, 40, 41),
        (18_000, 40, 100),
        (0, 100, 100),
        (10**9, 100, 100),
        (0, 1, 1),
    ],
)
def test_an_account_that_may_begin_with_more_begins_with_more(seconds: float, start: int, calls: int) -> None:
    assert allowed(seconds, start, 100) == calls


def test_it_never_falls_and_grows_by_one_at_a_time() -> None:
    steps = [allowed(seconds, START, 40) for seconds in range(0, 50 * STEP_SECONDS, 7)]
    assert steps[0] == START
    assert {later - earlier for earlier, later in pairwise(steps)} == {0, 1}
