"""Bound the downloads that a process sends at once, since each of them keeps a thread until its end."""

from collections.abc import Iterator
from threading import Lock
from weakref import ref

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
        # Weak, since a response is dropped unclosed if whatever comes after its view fails.
        self._held: list[ref[Held]] = []
        self._lock = Lock()

    def hold(self, team: str, content: Iterator[bytes]) -> "Held":
        """Return the content, which takes a place until it is closed; raise BusyError if there is none."""
        with self._lock:
            taken = self.taken()
            if len(taken) >= self._at_once or [held.team for held in taken].count(team) >= self._team_at_once:
                raise BusyError
            new = Held(team, content)
            self._held = [ref(held) for held in (*taken, new)]
        return new

    def taken(self) -> "list[Held]":
        """Return what takes a place now."""
        return [held for each in self._held if (held := each()) and held.is_open]


class Held:
    """A content with its place. The server closes it at its end, and when its client is gone."""

    def __init__(self, team: str, content: Iterator[bytes]) -> None:
        self.team, self._content, self.is_open = team, content, True

    def __iter__(self) -> Iterator[bytes]:
        return self._content

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            if (close := getattr(self._content, "close", None)) is not None:
                close()


SLOTS = Slots()
