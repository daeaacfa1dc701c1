"""Places and their shares."""

from contextlib import ExitStack
from threading import Event, Thread

import pytest

from pixian.protocol.errors import Code, SlowDown
from pixian.server.concurrency_limit import RETRY_AFTER_SECONDS, ConcurrencyLimit


def enter(limit: ConcurrencyLimit, stack: ExitStack, whose: str | None, wait: float = 0) -> bool:
    try:
        stack.enter_context(limit.passed(whose, wait))
    except SlowDown:
        return False
    return True


def fill(limit: ConcurrencyLimit, stack: ExitStack, whose: str | None) -> int:
    """How many places this caller gets."""
    got = 0
    while enter(limit, stack, whose):
        got += 1
    return got


@pytest.mark.parametrize(
    ("places", "share", "alone"), [(24, 5, 20), (12, 1, 6), (6, 5, 5), (3, 5, 2), (2, 5, 1), (1, 5, 1)]
)
def test_one_alone_leaves_places_to_others(places: int, share: int, alone: int) -> None:
    with ExitStack() as stack:
        assert fill(ConcurrencyLimit(places, share), stack, "alice") == alone


def test_the_last_place_is_for_somebody_who_has_none() -> None:
    limit = ConcurrencyLimit(24)
    with ExitStack() as stack:
        assert [fill(limit, stack, whose) for whose in ("alice", "bob", "charlie", "dora")] == [20, 3, 1, 0]


def test_one_too_many_is_told_so() -> None:
    limit = ConcurrencyLimit(2)
    with limit.passed("alice"), pytest.raises(SlowDown) as caught, limit.passed("alice"):
        pass
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (429, Code.SLOW_DOWN, RETRY_AFTER_SECONDS)


def test_nobody_in_particular_may_have_all() -> None:
    """As the engine's one caller."""
    with ExitStack() as stack:
        assert fill(ConcurrencyLimit(16), stack, None) == 16


def test_places_come_back() -> None:
    limit = ConcurrencyLimit(24)
    for _ in range(3):
        with ExitStack() as stack:
            assert fill(limit, stack, "alice") == 20
    with ExitStack() as stack, pytest.raises(ZeroDivisionError), limit.passed("bob"):
        raise ZeroDivisionError
    with ExitStack() as stack:
        assert fill(limit, stack, None) == 24


def test_one_who_waits_gets_the_place_that_comes_free() -> None:
    limit, entered, leave = ConcurrencyLimit(1), Event(), Event()

    def hold() -> None:
        with limit.passed("alice"):
            entered.set()
            leave.wait(10)

    holder = Thread(target=hold)
    holder.start()
    entered.wait(10)
    with ExitStack() as stack:
        assert not enter(limit, stack, "bob", wait=0.05)
        leave.set()
        assert enter(limit, stack, "bob", wait=10)
    holder.join()
