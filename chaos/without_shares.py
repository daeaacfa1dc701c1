"""E25's control: the web process, with its places for whoever comes first."""

from importlib import import_module

from pixian.server.concurrency_limit import ConcurrencyLimit
from pixian_web.wsgi import application

__all__ = ["application"]

calls = import_module("jobs.api.requests")  # once Django is set up
vars(calls)["fetcher_of"] = lambda _key: calls.fetcher()
ConcurrencyLimit._has_room_for = lambda self, whose: self._places > self._held.total()  # type: ignore[method-assign] # noqa: ARG005
