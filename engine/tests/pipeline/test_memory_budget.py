"""Bounds: how many are inside, how much is worked on, and for how long one waits."""

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any
from wsgiref.types import WSGIApplication

import httpx
import pytest

from engine.config import Config
from engine.pipeline.memory_budget import MemoryBudget
from engine.server.app import create_application
from engine.tests.conftest import KNOWN, REMOVE, auth, photo, refusal, upload
from pixian.protocol.errors import Code, ServerFailed, SlowDown
from pixian.protocol.limits import MAX_UPLOAD_PIXELS
from pixian.server.concurrency_limit import RETRY_AFTER_SECONDS, ConcurrencyLimit


def test_small_ones_share_the_memory() -> None:
    budget, all_there = MemoryBudget(4, timeout=10), Barrier(4, timeout=10)

    def sit() -> None:
        with budget.room_for(1):
            all_there.wait()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(sit) for _ in range(4)]:
            done.result()


def test_what_does_not_fit_waits() -> None:
    budget, inside = MemoryBudget(4, timeout=10), Event()

    def enter(pixels: int) -> None:
        with budget.room_for(pixels):
            inside.set()

    with ThreadPoolExecutor(1) as pool:
        with budget.room_for(3):
            waiting = pool.submit(enter, 2)
            assert not inside.wait(0.2)
        waiting.result(timeout=10)


def test_the_larger_than_all_has_it_alone() -> None:
    budget = MemoryBudget(4, timeout=10)
    with budget.room_for(100):
        pass
    with budget.room_for(4):
        pass


def test_a_turn_that_does_not_come_is_503_and_leaves_the_line() -> None:
    budget = MemoryBudget(4, timeout=0.05)
    with budget.room_for(4), pytest.raises(ServerFailed) as caught, budget.room_for(1):
        pass
    assert (caught.value.status, caught.value.code) == (503, Code.TIMED_OUT)
    with budget.room_for(4):
        pass


def test_nobody_is_passed_by() -> None:
    """Whoever waits for much is served before those who came later and want little."""
    budget, served = MemoryBudget(4, timeout=10), []

    def enter(pixels: int) -> None:
        with budget.room_for(pixels):
            served.append(pixels)

    with ThreadPoolExecutor(3) as pool:
        with budget.room_for(2):
            tasks = []
            for number, pixels in enumerate((4, 1, 1), start=1):
                tasks.append(pool.submit(enter, pixels))
                while len(budget._queue) < number:
                    pass
        for task in tasks:
            task.result(timeout=10)
    assert served == [4, 1, 1]


def test_one_too_many_is_told_to_slow_down() -> None:
    limit = ConcurrencyLimit(2)
    with limit.passed(), limit.passed():
        with pytest.raises(SlowDown) as caught, limit.passed():
            pass
        assert caught.value.retry_after == RETRY_AFTER_SECONDS
    with limit.passed():
        pass


class SlowBody(io.RawIOBase):
    """A body that stops until the test lets it go on."""

    def __init__(self, reading: Event, go_on: Event) -> None:
        self._reading, self._go_on = reading, go_on

    def readinto(self, _buffer: object) -> int:
        self._reading.set()
        self._go_on.wait(10)
        return 0


@pytest.fixture
def narrow(config: Config) -> WSGIApplication:
    """An engine that lets one call in."""
    return create_application(Config(**{**vars(config), "queue": 1}))


def test_a_full_engine_answers_429(narrow: WSGIApplication) -> None:
    reading, go_on = Event(), Event()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": REMOVE,
        "SERVER_NAME": "engine",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": SlowBody(reading, go_on),
        "wsgi.errors": io.StringIO(),
        "CONTENT_LENGTH": "1000",
        "CONTENT_TYPE": "multipart/form-data; boundary=x",
        "HTTP_AUTHORIZATION": KNOWN.authorization,
    }
    transport = httpx.WSGITransport(narrow)
    with (
        ThreadPoolExecutor(1) as pool,
        httpx.Client(base_url="http://engine", transport=transport, auth=auth(KNOWN)) as http,
    ):
        slow = pool.submit(lambda: list(narrow(environ, lambda *_: print)))
        assert reading.wait(10)
        answer = http.post(REMOVE, files=upload(photo("chelsea")))
        wrong = http.post(REMOVE, files=upload(photo("chelsea")), auth=("px0", "x"))
        go_on.set()
        slow.result(timeout=10)
        after = http.post(REMOVE, files=upload(photo("chelsea")))
    assert refusal(answer) == (429, 1015)
    assert answer.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
    assert refusal(wrong) == (401, 1001)
    assert after.status_code == 200


def test_a_turn_that_does_not_come_is_told_over_http(config: Config) -> None:
    hurried: Any = create_application(Config(**{**vars(config), "timeout": 0.05}))
    with (
        hurried._remover._memory.room_for(MAX_UPLOAD_PIXELS),
        httpx.Client(base_url="http://engine", transport=httpx.WSGITransport(hurried)) as http,
    ):
        answer = http.post(REMOVE, files=upload(photo("chelsea")), auth=auth(KNOWN))
    assert refusal(answer) == (503, -10)
    assert answer.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
