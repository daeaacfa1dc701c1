"""Lets pages of other origins call the API. They hold a key of their own, and no cookie is sent."""

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
"""On every answer: any page may read it with its headers."""

PREFLIGHT = {
    **OPENED,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": ", ".join(ACCEPTED),
    "Access-Control-Max-Age": str(DAY_SECONDS),
}
"""What a browser asks before it sends ``Authorization``; the status is 204."""

NO_CONTENT = 204


class Names(Protocol):
    """Headers, of whichever library."""

    def __contains__(self, name: str, /) -> bool: ...


def is_preflight(method: str | None, headers: Names) -> bool:
    return method == "OPTIONS" and "Access-Control-Request-Method" in headers
