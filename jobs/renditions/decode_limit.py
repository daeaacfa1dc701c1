"""How much this process decodes at once: bounded in all, and for each team.

Pictures are checked and previews made in the web process, by as many threads as it has. Without a bound a
drop of large pictures would take 130 MB each, some formats 500.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from pixian.protocol.errors import Code, ServerFailed

MEGABYTE = 1 << 20
BYTES_AT_ONCE = 640 * MEGABYTE
TEAM_BYTES = 512 * MEGABYTE
"""One of the largest pictures in the costliest format, WebP. What is left is nobody's alone, so that another
team's pictures of a few megapixels never wait."""

WAIT_SECONDS = 10
RETRY_AFTER_SECONDS = 5


class Room:
    """Memory to decode in, shared by teams."""

    def __init__(
        self, total: int = BYTES_AT_ONCE, share: int = TEAM_BYTES, wait: float = WAIT_SECONDS
    ) -> None:
        self._total = total
        self._share = share
        self._wait = wait
        self._used: Counter[int] = Counter()
        self._changed = Condition()

    @contextmanager
    def taken(self, team: int, size: int) -> Iterator[None]:
        """Hold ``size`` bytes for the team; raises ServerFailed 503/-3 if they don't get free in time."""
        size = min(size, self._share)
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(team, size), self._wait):
                raise ServerFailed(
                    503,
                    Code.OVERLOADED,
                    "Too many large pictures are being read at the moment.",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            self._used[team] += size
        try:
            yield
        finally:
            with self._changed:
                self._used[team] -= size
                if not self._used[team]:
                    del self._used[team]
                self._changed.notify_all()

    def _has_room(self, team: int, size: int) -> bool:
        return self._used.total() + size <= self._total and self._used[team] + size <= self._share


ROOM = Room()
