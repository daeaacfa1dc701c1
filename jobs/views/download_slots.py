"""Bound the downloads that a process sends at once, since each of them keeps a thread until its end."""

from collections import Counter
from collections.abc import Iterator
from threading import Lock

AT_ONCE, TEAM_AT_ONCE = 6, 3
"""Up to ``waitress_worker.MAX_RESPONSE_BYTES`` of each wait for its client. Together that must be less
than ``Limits.kept_bytes``, or the server closes the slowest."""

RETRY_AFTER_SECONDS = 20


class BusyError(Exception):
    """Too many downloads are being sent."""

    retry_after = RETRY_AFTER_SECONDS


class Slots:
    """Places for downloads, in all and for each team."""

    def __init__(self, at_once: int = AT_ONCE, team_at_once: int = TEAM_AT_ONCE) -> None:
        self._at_once, self._team_at_once = at_once, team_at_once
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    def hold(self, team: str, content: Iterator[bytes]) -> "Held":
        """Return the content, which takes a place until it is closed; raise BusyError if there is none."""
        with self._lock:
            if self._taken[team] >= self._team_at_once or self._taken.total() >= self._at_once:
                raise BusyError
            self._taken[team] += 1
        return Held(self, team, content)

    def release(self, team: str) -> None:
        with self._lock:
            self._taken[team] -= 1
            if not self._taken[team]:
                del self._taken[team]


class Held:
    """A content with its place. The server closes it at its end, and when its client is gone."""

    def __init__(self, slots: Slots, team: str, content: Iterator[bytes]) -> None:
        self._slots, self._team, self._content, self._is_open = slots, team, content, True

    def __iter__(self) -> Iterator[bytes]:
        return self._content

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._slots.release(self._team)
            if (close := getattr(self._content, "close", None)) is not None:
                close()


SLOTS = Slots()
