"""Pixels → the ceiling to hold for a call, learned from what was charged. Pure.

A charge per megapixel is remembered by *bands* of sizes, each twice as large as the one before. Small
pictures may cost more a megapixel than large ones, so a picture's rate is the highest that was seen in its
own band, in the one below it, or in any larger one.
"""

from pixian.limits import MAX_PROCESSED_PIXELS

PIXELS_PER_MEGAPIXEL = 1_000_000


def priced(pixels: int) -> int:
    """What is above 25 MP is shrunk before the work and isn't priced."""
    return min(pixels, MAX_PROCESSED_PIXELS)


def band(pixels: int) -> int:
    return priced(pixels).bit_length()


def lowest_band(pixels: int) -> int:
    """The lowest band whose charges say something about a picture of so many pixels."""
    return band(pixels) - 1


def rate(charged_microcredits: int, pixels: int) -> int:
    """Micro-credits per megapixel that a charge amounts to, rounded up."""
    return -(-charged_microcredits * PIXELS_PER_MEGAPIXEL // priced(pixels))


def ceiling(pixels: int, microcredits_per_megapixel: int) -> int:
    """Micro-credits to hold for a picture of ``pixels``, rounded up."""
    total = priced(pixels) * microcredits_per_megapixel
    return max(1, -(-total // PIXELS_PER_MEGAPIXEL))
