"""How many callers are let in at once; the next one is asked to slow down."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Condition

from pixian.protocol.errors import Code, SlowDown

RETRY_AFTER_SECONDS = 5
SHARE = 5


class ConcurrencyLimit:
    """Lets a number of calls in; the next one is asked to slow down.

    Callers who say who they are share the places: one of them may hold at most ``share`` times as many as are
    free. So one alone leaves ``1 / (share + 1)`` of them to others, several leave some to the next one, and
    the last place goes only to a caller who has none.
    """

    def __init__(self, places: int, share: int = SHARE) -> None:
        self._places = places
        self._share = share
        self._inside: Counter[Hashable] = Counter()
        self._changed = Condition()

    @contextmanager
    def passed(self, whose: Hashable = None, wait: float = 0) -> Iterator[None]:
        """Hold a place. ``whose``: the caller's share; None takes any place. ``wait``: seconds.

        Raises SlowDown 429/1015 if there is none by then.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room_for(whose), wait):
                raise SlowDown(
                    429,
                    Code.SLOW_DOWN,
                    "Too many calls at once: wait a little.",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            self._inside[whose] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= Counter([whose])  # forgets whose count is 0
                self._changed.notify_all()

    def _has_room_for(self, whose: Hashable) -> bool:
        free = self._places - self._inside.total()
        theirs = self._inside[whose]
        if whose is None or not theirs:
            return free > 0
        return free > 1 and theirs < self._share * free
