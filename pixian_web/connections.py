"""Connections to PostgreSQL: each process takes a bounded number of them, and gives back what it doesn't use.

A thread has a connection for as long as it talks to the database (``jobs.connections``).
"""

import os
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from jobs.connections import give_back
from jobs.views.exports import Export

WAITS_SECONDS = 10
"""For a connection, and no longer: programs then get a 503, and booking a call is tried again."""

IDLE_SECONDS = 10
"""A connection that wasn't needed for so long is closed."""

RECONNECT_SECONDS = 5
"""The pool waits longer before each try to connect, for so long, and then begins anew. So a server that was
away for long is found again soon."""

_inherited: list[object] = []


def pool_options(size: int) -> dict[str, Any]:
    """Return the options of a pool of this many connections; none for 0, which is no pool."""
    if size < 0 or size == 1:
        raise ImproperlyConfigured(f"DATABASE_POOL is {size}; it must be 2 or more, or 0 for no pool")
    if not size:
        return {}
    return {
        "min_size": 0,
        "max_size": size,
        "timeout": WAITS_SECONDS,
        "max_idle": IDLE_SECONDS,
        "reconnect_timeout": RECONNECT_SECONDS,
    }


class GiveBackMiddleware:
    """Gives the request's connection back before a stream is sent, whose client may read slowly.

    An export is begun only then: it may keep a cursor open, which a connection takes along.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if response.streaming:
            give_back()
        if isinstance(response, Export):
            response.begin()
        return response


def forget_in_children() -> None:
    """Let forked processes open their own connections: two processes on one garble each other."""
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    for connection in connections.all():
        pools = getattr(connection, "_connection_pools", {})
        # Kept, since closing a connection's object would close the parent's connection too.
        _inherited.extend([connection.connection, *pools.values()])
        pools.clear()
        connection.connection = None
