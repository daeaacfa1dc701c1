"""How many callers are let in at once; the next one is asked to slow down."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from pixian.errors import Code, SlowDown

RETRY_AFTER_SECONDS = 5


class Door:
    """Lets a number of calls in; the next one is asked to slow down."""

    def __init__(self, places: int) -> None:
        self._places = BoundedSemaphore(places)

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Holds a place; raises SlowDown 429/1015 where none is free."""
        if not self._places.acquire(blocking=False):
            raise SlowDown(
                429, Code.SLOW_DOWN, "Too many calls at once: wait a little.", retry_after=RETRY_AFTER_SECONDS
            )
        try:
            yield
        finally:
            self._places.release()
