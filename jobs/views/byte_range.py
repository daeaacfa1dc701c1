"""Serve a part of a body whose bytes are known, so that a broken download goes on where it stopped.

A range is served only if nothing has changed (RFC 9110, §§ 13 and 14). Several ranges at once are answered
with the whole, as the standard allows.
"""

import re

from django.http import HttpRequest

SINGLE = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})", re.IGNORECASE)


class UnsatisfiableError(Exception):
    """The range begins behind the end."""


def wanted(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | None:
    """Return the first byte and the one behind the last; None for the whole. Raises UnsatisfiableError."""
    header = request.headers.get("Range", "")
    if request.method != "GET" or request.headers.get("If-Range", etag).strip() != etag:
        return None
    single = SINGLE.fullmatch(header.strip())
    if single is None or single.groups() == ("", ""):
        return None
    first, last = single.groups()
    if not first:  # the last so many bytes
        if not int(last):
            raise UnsatisfiableError
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None  # no range at all
    if int(first) >= size:
        raise UnsatisfiableError
    return int(first), min(int(last) + 1, size) if last else size
