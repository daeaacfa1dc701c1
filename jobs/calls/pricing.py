"""Compute the ceiling to hold for a call from its pixels and the prices learned so far. Pure.

A charge per megapixel is remembered by *bands* of sizes, each twice as large as the one before. Small
pictures may cost more a megapixel than large ones, so a picture's rate is the highest that was seen in its
own band, in the one below it, or in any larger one.
"""

from pixian.protocol.credits import MICROCREDITS
from pixian.protocol.limits import MAX_PROCESSED_PIXELS

PIXELS_PER_MEGAPIXEL = 1_000_000

FLOOR = MICROCREDITS
"""One credit. A thumbnail's hold may be a single micro-credit, of which a plain minimum charge is a large
multiple; up to here no multiple is odd."""

MOST_RAISED = 2  # times its hold, which is the most that a charge may teach


def priced(pixels: int) -> int:
    """Return the pixels that are priced: a picture above 25 MP is shrunk before the work."""
    return min(pixels, MAX_PROCESSED_PIXELS)


def band(pixels: int) -> int:
    return priced(pixels).bit_length()


def lowest_band(pixels: int) -> int:
    """Return the lowest band whose charges say something about a picture of this many pixels."""
    return band(pixels) - 1


def rate(charged_microcredits: int, pixels: int) -> int:
    """Return the micro-credits per megapixel that a charge amounts to, rounded up."""
    return -(-charged_microcredits * PIXELS_PER_MEGAPIXEL // priced(pixels))


def most_believed(held_microcredits: int, alarm_factor: int) -> int:
    """Return the highest charge that can be right for a call with this hold. A test holds nothing."""
    return max(held_microcredits * alarm_factor, FLOOR) if held_microcredits else 0


def taught(charged_microcredits: int, held_microcredits: int) -> int:
    """Return how much of a charge teaches a price: one odd call at most doubles what others hold."""
    return min(charged_microcredits, max(held_microcredits * MOST_RAISED, FLOOR))


def ceiling(pixels: int, microcredits_per_megapixel: int) -> int:
    """Return the micro-credits to hold for a picture of this many pixels, rounded up."""
    total = priced(pixels) * microcredits_per_megapixel
    return max(1, -(-total // PIXELS_PER_MEGAPIXEL))
