"""Form fields read strictly, one function for each kind of value.

Each takes the fields that were given, trimmed and none of them empty, and raises Refused 400/1019, which
names the field, what came and what is allowed.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from pixian.protocol import errors
from pixian.protocol.margin import ALLOWED as ALLOWED_MARGINS
from pixian.protocol.margin import Margin

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255 each."""

Size = tuple[int, int]
"""Width and height in pixels."""

Choice = TypeVar("Choice", bound=StrEnum)

BOOLEANS = {"true": True, "false": False}
MAX_DIGITS = 12
HEX_COLOR = re.compile(r"#[0-9a-f]{6}", re.ASCII | re.IGNORECASE)


def boolean(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "false")
    if text.lower() not in BOOLEANS:
        raise errors.bad_parameter(name, text, "true or false")
    return BOOLEANS[text.lower()]


def integer(given: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    text = given.get(name, str(default))
    if not (_is_integer(text) and low <= int(text) <= high):
        raise errors.bad_parameter(name, text, f"an integer from {low} to {high}")
    return int(text)


def color(given: Mapping[str, str], name: str) -> Color | None:
    text = given.get(name)
    if text is None:
        return None
    if not HEX_COLOR.fullmatch(text):
        raise errors.bad_parameter(name, text, "a colour such as #FFFFFF")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def margin(given: Mapping[str, str], name: str) -> Margin:
    text = given.get(name, "0")
    try:
        return Margin.parse(text)
    except ValueError as error:
        raise errors.bad_parameter(name, text, ALLOWED_MARGINS) from error


def size(given: Mapping[str, str], name: str) -> Size | None:
    text = given.get(name)
    if text is None:
        return None
    values = text.split()
    if len(values) != 2 or not all(_is_integer(value) and int(value) > 0 for value in values):
        raise errors.bad_parameter(name, text, "width and height in pixels, such as 1920 1080")
    return int(values[0]), int(values[1])


def choice(given: Mapping[str, str], name: str, default: Choice) -> Choice:
    """Read in any case, as booleans are (G)."""
    text = given.get(name, default)
    kind = type(default)
    try:
        return kind(text.lower())
    except ValueError as error:
        raise errors.bad_parameter(name, text, "one of " + ", ".join(kind)) from error


def _is_integer(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
