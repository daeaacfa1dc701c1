"""The fields of a style: their possible values, and how they are read."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pixian.protocol.form_fields import Color, Size
from pixian.protocol.margin import Margin
from pixian.protocol.options import Alignment

STRENGTH = 1, 100
MAX_DIGITS = 7
MAX_TEXT = 100  # characters of one value
LABELS = {
    "background": gettext_lazy("Background"),
    "color": gettext_lazy("Colour"),
    "backdrop": gettext_lazy("Background picture"),
    "blur": gettext_lazy("Blur"),
    "shadow": gettext_lazy("Shadow"),
    "strength": gettext_lazy("Strength"),
    "crop": gettext_lazy("Crop to the subject"),
    "margin": gettext_lazy("Margin"),
    "size": gettext_lazy("Size"),
    "alignment": gettext_lazy("Alignment"),
    "format": gettext_lazy("Format"),
    "quality": gettext_lazy("Quality"),
}
HEX_COLOR = re.compile(r"#[0-9a-f]{6}")
SHA256 = re.compile(r"[0-9a-f]{64}")

Choice = TypeVar("Choice", bound=StrEnum)


class StyleError(ValueError):
    """A style that can't be. message: in the reader's language."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Background(StrEnum):
    NONE = "none"
    COLOR = "color"
    PICTURE = "picture"
    BLUR = "blur"  # the original, blurred


class Shadow(StrEnum):
    NONE = "none"
    SOFT = "soft"
    CONTACT = "contact"


class Format(StrEnum):
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    DELTA_PNG = "delta_png"

    @property
    def content_type(self) -> str:
        return {"jpeg": "image/jpeg", "webp": "image/webp"}.get(self, "image/png")

    @property
    def label(self) -> str:
        return {"jpeg": "JPEG", "webp": "WebP"}.get(self, "PNG")

    @property
    def extension(self) -> str:
        return {"jpeg": "jpg", "webp": "webp"}.get(self, "png")


LOSSY = (Format.JPEG, Format.WEBP)


def text_of(name: str, value: object) -> str:
    if not isinstance(value, str | int) or len(text := str(value)) > MAX_TEXT:
        raise StyleError(_("The value of “%(name)s” can't be read.") % {"name": LABELS[name]})
    return " ".join(text.lower().split())


def _bad(name: str, text: str, allowed: str) -> StyleError:
    message = _("“%(text)s” isn't possible for “%(name)s”; possible are %(allowed)s.")
    return StyleError(message % {"text": text, "name": LABELS[name], "allowed": allowed})


def _choice(kind: type[Choice], name: str, text: str) -> Choice:
    if text not in set(kind):
        raise _bad(name, text, ", ".join(kind))
    return kind(text)


def _boolean(name: str, text: str) -> bool:
    if text not in ("true", "false", "on"):  # what a form's checkbox sends
        raise _bad(name, text, "true, false")
    return text != "false"


def _percent(name: str, text: str) -> int:
    low, high = STRENGTH
    if not _is_number(text) or not low <= int(text) <= high:
        raise _bad(name, text, f"{low}–{high}")
    return int(text)


def _color(name: str, text: str) -> Color:
    if not HEX_COLOR.fullmatch(text):
        raise _bad(name, text, "#ffffff")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _sha256(name: str, text: str) -> str:
    if not SHA256.fullmatch(text):
        raise _bad(name, text, "SHA-256")
    return text


def _margin(name: str, text: str) -> Margin:
    try:
        return Margin.parse(text)
    except ValueError as error:
        raise _bad(name, text, "5%, 40px, 10px 5%") from error


def _size(name: str, text: str) -> Size:
    values = text.replace("×", " ").replace("x", " ").split()
    if len(values) != 2 or not all(_is_number(value) and int(value) for value in values):
        raise _bad(name, text, "2000 × 2000")
    return int(values[0]), int(values[1])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


PARSERS: dict[str, Callable[[str, str], Any]] = {
    "background": lambda name, text: _choice(Background, name, text),
    "color": _color,
    "backdrop": _sha256,
    "blur": _percent,
    "shadow": lambda name, text: _choice(Shadow, name, text),
    "strength": _percent,
    "crop": _boolean,
    "margin": _margin,
    "size": lambda name, text: None if text == "none" else _size(name, text),
    "alignment": lambda name, text: _choice(Alignment, name, text),
    "format": lambda name, text: _choice(Format, name, text),
    "quality": _percent,
}
"""By the field's name: each takes it and a text, and raises StyleError for a bad one."""
