"""The contract's limits on pictures and waiting times (§§ 2 and 5), as the vendor documents them."""

MAX_UPLOAD_BYTES = 31_457_280
"""30 MiB; more is refused with 413/1012."""

MAX_UPLOAD_PIXELS = 32_000_000
"""Width × height; more is refused with 413/1013."""

MAX_PROCESSED_PIXELS = 25_000_000
"""A picture between this and the upload limit is shrunk to this size before it is processed and priced."""

MAX_RESULT_PIXELS = MAX_PROCESSED_PIXELS
"""Limit on a result including its margins, or at its target size; more is refused with 400/1023 (G)."""

IDLE_TIMEOUT_SECONDS = 200
"""The contract asks clients to wait at least 180 s without a byte; the rest is slack for a response that
starts exactly then."""


def processed_pixels(width: int, height: int, max_pixels: object = None) -> int:
    """Return the pixels that are priced: those of a picture once it is shrunk, before the work.

    max_pixels: the option of this name, as it was sent and checked; None or blank if it wasn't.
    """
    return min(width * height, int(str(max_pixels or "").strip() or MAX_PROCESSED_PIXELS))
