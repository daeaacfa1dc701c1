"""The contract's first version, obsolete and still served (§ 1): the same call, its names in camelCase."""

from collections.abc import Mapping

PATH = "/api/v1/remove-background"

NAMES = {
    "maxPixels": "max_pixels",
    "result.cropToForeground": "result.crop_to_foreground",
    "result.targetSize": "result.target_size",
    "result.verticalAlignment": "result.vertical_alignment",
    "output.jpegQuality": "output.jpeg_quality",
}
"""What each was called from version 2 on."""

DEPRECATED = {
    "Deprecation": "@1686614400",
    "Link": '</api/v2/remove-background>; rel="successor-version"',
}
"""On every answer (RFC 9745): since 13 June 2023, when the vendor's second version came."""


def as_v2(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields under their present names. Where both names came, the old one counts."""
    old = {NAMES[name]: text for name, text in fields.items() if name in NAMES and text.strip()}
    return {name: text for name, text in fields.items() if name not in NAMES} | old
