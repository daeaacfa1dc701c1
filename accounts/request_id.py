"""Name the HTTP request that work is done for: in the log, the audit log and the calls that it prepared.

It only says what belongs together. ``Job.request_id`` is another thing: by that one a sender says that a
request is the same one again.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4

MAX_LENGTH = 36
"""A UUID's, which is what most proxies send."""

_WELL_FORMED = re.compile(rf"[A-Za-z0-9._-]{{8,{MAX_LENGTH}}}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the request that this thread works for; empty if it is for none."""
    return _current.get()


def current_or_none() -> str | None:
    return current() or None


def accepted(text: str) -> str:
    """Return the id that a client or proxy sent, or a new one if it is missing or odd."""
    return text if _WELL_FORMED.fullmatch(text) else str(uuid4())


@contextmanager
def working_for(request_id: str | None) -> Iterator[None]:
    """Work for this request meanwhile."""
    token = _current.set(request_id or "")
    try:
        yield
    finally:
        _current.reset(token)
