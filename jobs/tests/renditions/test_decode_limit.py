"""Memory for decoding has a bound, and no team has it alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.renditions.decode_limit import BYTES_AT_ONCE, TEAM_BYTES, DecodeLimit
from pixian.imaging.containers.webp import BYTES_PER_PIXEL
from pixian.protocol.errors import Code, ServerFailed
from pixian.protocol.limits import MAX_UPLOAD_PIXELS

ALICE, BOB = 1, 2


def refused(room: DecodeLimit, team: int, size: int) -> bool:
    try:
        with room.reserve(team, size):
            return False
    except ServerFailed:
        return True


def test_a_refusal_says_when_to_come_back() -> None:
    room = DecodeLimit(total=10, share=10, wait=0)
    with room.reserve(ALICE, 10), pytest.raises(ServerFailed) as caught, room.reserve(BOB, 1):
        pass
    assert (caught.value.status, caught.value.code) == (503, Code.OVERLOADED)
    assert caught.value.retry_after


def test_what_is_taken_is_given_back() -> None:
    room = DecodeLimit(total=10, share=10, wait=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), room.reserve(ALICE, 10):
            raise ZeroDivisionError


def test_one_team_leaves_room_for_another() -> None:
    room = DecodeLimit(total=10, share=8, wait=0)
    with room.reserve(ALICE, 8):
        assert refused(room, ALICE, 1)
        assert not refused(room, BOB, 2)
        assert refused(room, BOB, 3)


def test_what_is_larger_than_a_share_takes_the_share() -> None:
    room = DecodeLimit(total=10, share=8, wait=0)
    with room.reserve(ALICE, 1_000):
        assert not refused(room, BOB, 2)


@pytest.mark.parametrize(("wait", "patiently"), [(60, False), (0, True)])
def test_who_waits_gets_it_once_it_is_free(wait: float, patiently: bool) -> None:
    room = DecodeLimit(total=10, share=10, wait=wait)
    first_has_it, second_has_it = threading.Event(), threading.Event()

    def second() -> None:
        first_has_it.wait()
        with room.reserve(BOB, 10, patiently=patiently):
            second_has_it.set()

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(second)
        with room.reserve(ALICE, 10):
            first_has_it.set()
            assert not second_has_it.wait(0.05)
        waiting.result()
    assert second_has_it.is_set()


def test_never_more_than_there_is() -> None:
    room, lock, used, most = DecodeLimit(total=10, share=6, wait=60), threading.Lock(), 0, 0

    def take(number: int) -> None:
        nonlocal used, most
        size = 1 + number % 5
        with room.reserve(number % 3, size):
            with lock:
                used += size
                most = max(most, used)
            with lock:
                used -= size

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take, range(300)))
    assert most <= 10


def test_the_largest_picture_fits_into_a_share() -> None:
    assert MAX_UPLOAD_PIXELS * BYTES_PER_PIXEL <= TEAM_BYTES < BYTES_AT_ONCE
