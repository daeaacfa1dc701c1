"""Limit the memory that this process uses for decoding, in total and for each team.

Pictures are checked and previews made in the web process, by as many threads as it has. Without a bound a
few large pictures dropped at once would take 130 MB each, in some formats 500.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from pixian.protocol.errors import Code, ServerFailed

MEGABYTE = 1 << 20
BYTES_AT_ONCE = 640 * MEGABYTE
TEAM_BYTES = 512 * MEGABYTE
"""Enough for one of the largest pictures in the costliest format, WebP. No team alone gets the rest, so that
another team's pictures of a few megapixels never wait."""

WAIT_SECONDS = 10
RETRY_AFTER_SECONDS = 5


class DecodeLimit:
    """A budget of memory for decoding, shared by teams."""

    def __init__(
        self, total: int = BYTES_AT_ONCE, share: int = TEAM_BYTES, wait: float = WAIT_SECONDS
    ) -> None:
        self._total = total
        self._share = share
        self._wait = wait
        self._used: Counter[int] = Counter()
        self._changed = Condition()

    @contextmanager
    def reserve(self, team: int, size: int, *, patiently: bool = False) -> Iterator[None]:
        """Reserve ``size`` bytes for the team; raise ServerFailed 503/-3 if they aren't free in time.

        patiently: wait for as long as it takes, and raise nothing.
        """
        size = min(size, self._share)
        with self._changed:
            wait = None if patiently else self._wait
            if not self._changed.wait_for(lambda: self._has_room(team, size), wait):
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


DECODING = DecodeLimit()
