"""Let several people decide the same thing at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection


def at_once(count: int, decide: Callable[[int], Any], *late: type[Exception]) -> list[str]:
    """Return what came of so many decisions, sorted: what each returned, *done* or *too late*.

    decide: gets its number, in a thread of its own. late: what it raises if someone else was first.
    """

    def one(number: int) -> str:
        try:
            returned = decide(number)
        except late:
            return "too late"
        else:
            return returned if isinstance(returned, str) else "done"
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return sorted(pool.map(one, range(count)))
