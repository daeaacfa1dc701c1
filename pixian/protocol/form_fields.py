"""Strict parsing of form fields, one function for each type of value.

Each takes all fields of the form, trimmed and without empty ones, and the name of one. Each raises Refused
400/1019 for a bad value; the message names the field, its value and the allowed ones.
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


def boolean(fields: Mapping[str, str], name: str) -> bool:
    text = fields.get(name, "false")
    if text.lower() not in BOOLEANS:
        raise errors.bad_parameter(name, text, "true or false")
    return BOOLEANS[text.lower()]


def integer(fields: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    text = fields.get(name, str(default))
    if not (_is_integer(text) and low <= int(text) <= high):
        raise errors.bad_parameter(name, text, f"an integer from {low} to {high}")
    return int(text)


def color(fields: Mapping[str, str], name: str) -> Color | None:
    text = fields.get(name)
    if text is None:
        return None
    if not HEX_COLOR.fullmatch(text):
        raise errors.bad_parameter(name, text, "a colour such as #FFFFFF")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def margin(fields: Mapping[str, str], name: str) -> Margin:
    text = fields.get(name, "0")
    try:
        return Margin.parse(text)
    except ValueError as error:
        raise errors.bad_parameter(name, text, ALLOWED_MARGINS) from error


def size(fields: Mapping[str, str], name: str) -> Size | None:
    text = fields.get(name)
    if text is None:
        return None
    values = text.split()
    if len(values) != 2 or not all(_is_integer(value) and int(value) > 0 for value in values):
        raise errors.bad_parameter(name, text, "width and height in pixels, such as 1920 1080")
    return int(values[0]), int(values[1])


def choice(fields: Mapping[str, str], name: str, default: Choice) -> Choice:
    """Return the member of the default's enum that the field names, in any case (G)."""
    text = fields.get(name, default)
    kind = type(default)
    try:
        return kind(text.lower())
    except ValueError as error:
        raise errors.bad_parameter(name, text, "one of " + ", ".join(kind)) from error


def _is_integer(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
