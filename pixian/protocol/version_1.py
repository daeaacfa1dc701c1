"""Version 1 of the API (§ 1 of the contract): obsolete but still served; the parameters are in camelCase."""

from collections.abc import Mapping

PATH = "/api/v1/remove-background"

NAMES = {
    "maxPixels": "max_pixels",
    "result.cropToForeground": "result.crop_to_foreground",
    "result.targetSize": "result.target_size",
    "result.verticalAlignment": "result.vertical_alignment",
    "output.jpegQuality": "output.jpeg_quality",
}
"""Parameter names of version 1 and their names in version 2."""

DEPRECATED = {
    "Deprecation": "@1686614400",
    "Link": '</api/v2/remove-background>; rel="successor-version"',
}
"""Headers of every version 1 response (RFC 9745); deprecated on 13 June 2023, when version 2 came out."""


def as_v2(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields under their version 2 names. If a field has both names, the old one wins."""
    old = {NAMES[name]: text for name, text in fields.items() if name in NAMES and text.strip()}
    return {name: text for name, text in fields.items() if name not in NAMES} | old
