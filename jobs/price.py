"""Pixels → the ceiling to hold for a call. Pure."""

from pixian.limits import MAX_PROCESSED_PIXELS

PIXELS_PER_MEGAPIXEL = 1_000_000


def ceiling(pixels: int, microcredits_per_megapixel: int) -> int:
    """Micro-credits to hold for a picture of ``pixels``, rounded up; what is above 25 MP is shrunk
    before the work and isn't priced."""
    priced = min(pixels, MAX_PROCESSED_PIXELS) * microcredits_per_megapixel
    return max(1, -(-priced // PIXELS_PER_MEGAPIXEL))
