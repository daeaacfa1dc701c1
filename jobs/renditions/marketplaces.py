"""Styles that marketplaces ask for, as examples to copy. Each names its source, and when it was read there.

They are a start: the rules of a category may differ, and marketplaces change theirs.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jobs.renditions.style import Style

READ_ON = date(2026, 11, 29)


@dataclass(frozen=True)
class Example:
    """A preset to copy. rule: what the source says. stated: the date of the source itself, if it has one."""

    key: str
    name: str
    style: Style
    rule: Promise
    source: str
    stated: date | None = None
    read: date = READ_ON


def _white(size: str, margin: str, **more: Any) -> Style:
    """Return a JPEG on pure white, whose subject fills what the margin leaves."""
    white = {"background": "color", "color": "#ffffff", "crop": True, "format": "jpeg", "quality": 90}
    return Style.parse(white | {"size": size, "margin": margin} | more)


EXAMPLES = (
    Example(
        "amazon",
        "Amazon, main image",
        # A margin of 7 % on each side leaves 86 %.
        _white("2000 2000", "7%"),
        _("Pure white; the product fills at least 85 %; 1,000 pixels or more on the longest side for zoom."),
        "https://mercatuslab.com/blog/amazon-product-image-requirements",
    ),
    Example(
        "ebay",
        "eBay",
        _white("1600 1600", "5%"),
        _("At least 500 pixels on the longest side; no borders, texts or watermarks."),
        "https://www.ebay.com/help/policies/listing-policies/picture-policy?id=4370",
    ),
    Example(
        "etsy",
        "Etsy",
        _white("2000 2000", "10%"),
        _("2,000 × 2,000 pixels are recommended; thumbnails are square."),
        "https://hauld.app/blog/etsy-listing-photo-checklist",
        date(2026, 5, 26),
    ),
    Example(
        "google",
        "Google Merchant Center",
        _white("1500 1500", "7%"),
        _("1,500 × 1,500 pixels or more are recommended, and 500 × 500 required from 31 January 2027."),
        "https://support.google.com/merchants/answer/6324350",
    ),
    Example(
        "shopify",
        "Shopify",
        _white("2048 2048", "8%"),
        _("Square pictures of 2,048 × 2,048 pixels look best; at most 5,000 × 5,000."),
        "https://sellshot.ai/en/blog/shopify-product-image-size-guide",
    ),
    Example(
        "walmart",
        "Walmart Marketplace",
        _white("2200 2200", "7%"),
        _("2,200 × 2,200 pixels, square, on seamless white; 1,500 × 1,500 at least for zoom."),
        "https://marketplacelearn.walmart.com/guides/Item%20setup/Item%20content%2C%20imagery%2C%20and%20media"
        "/Product-detail-page:-Image-guidelines-&-requirements",
        date(2025, 7, 15),
    ),
    Example(
        "zalando",
        "Zalando, packshot",
        _white("1801 2600", "6%"),
        _("1,801 × 2,600 pixels (1 : 1.44) at best, 762 × 1,100 at least; a JPEG; packshots are on white."),
        "https://partner.zalando.com/university/article/visual-content-and-post-production-guide",
        date(2025, 3, 3),
    ),
)
BY_KEY = {example.key: example for example in EXAMPLES}
