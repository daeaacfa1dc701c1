"""A limit on concurrent calls, shared fairly between callers."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Condition

from pixian.protocol.errors import Code, SlowDown

RETRY_AFTER_SECONDS = 5
SHARE = 5


class ConcurrencyLimit:
    """Admit a number of concurrent calls and refuse any further one with 429.

    Identified callers share the places: each may hold at most ``share`` times as many as are free. So a
    single caller leaves ``1 / (share + 1)`` of the places to others, several callers leave some for the next,
    and the last free place goes only to a caller that holds none.
    """

    def __init__(self, places: int, share: int = SHARE) -> None:
        self._places = places
        self._share = share
        self._held: Counter[Hashable] = Counter()
        self._changed = Condition()

    @contextmanager
    def passed(self, whose: Hashable = None, wait: float = 0) -> Iterator[None]:
        """Hold a place for the duration of the context; raise SlowDown 429/1015 if none becomes free.

        whose: identifies the caller, None for one that isn't subject to the shares. wait: seconds to wait.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room_for(whose), wait):
                raise SlowDown(
                    429,
                    Code.SLOW_DOWN,
                    "Too many concurrent requests. Wait a few seconds and try again.",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            self._held[whose] += 1
        try:
            yield
        finally:
            with self._changed:
                # Counter subtraction drops entries that reach 0, so callers that are gone take no memory.
                self._held -= Counter([whose])
                self._changed.notify_all()

    def _has_room_for(self, whose: Hashable) -> bool:
        free = self._places - self._held.total()
        held = self._held[whose]
        if whose is None or not held:
            return free > 0
        return free > 1 and held < self._share * free
