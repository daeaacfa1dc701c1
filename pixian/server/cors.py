"""CORS headers that let pages of any origin call the API.

This is safe because a call is authenticated by an API key that the page must already have, never by a cookie.
"""

from typing import Protocol

EXPOSED = (
    "Content-Disposition",
    "Deprecation",
    "ETag",
    "Link",
    "Retry-After",
    "X-Credits-Calculated",
    "X-Credits-Charged",
    "X-Input-Orientation",
    "X-Input-Size",
    "X-Result-Size",
    *(f"X-Foreground-{side}" for side in ("Top", "Left", "Width", "Height")),
    *(f"X-{size}" for size in ("Type", "Width", "Height", "Max-Width", "Max-Height")),
    *(f"X-RateLimit-{what}" for what in ("Limit", "Remaining", "Reset")),
)
ACCEPTED = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Api-Key")
DAY_SECONDS = 86_400

OPENED = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": ", ".join(EXPOSED)}
"""Headers of every response: any page may read it, including these headers."""

PREFLIGHT = {
    **OPENED,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": ", ".join(ACCEPTED),
    "Access-Control-Max-Age": str(DAY_SECONDS),
}
"""Headers of the 204 response to a preflight, which browsers send before a request with ``Authorization``."""

NO_CONTENT = 204


class Names(Protocol):
    """The part of a header mapping that is needed here, be it Django's or werkzeug's."""

    def __contains__(self, name: str, /) -> bool: ...


def is_preflight(method: str | None, headers: Names) -> bool:
    return method == "OPTIONS" and "Access-Control-Request-Method" in headers
