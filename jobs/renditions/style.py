"""Describe how a cut-out is presented: background, shadow, crop, margin, size and format.

A style is written as a mapping of short texts, numbers and booleans: in JSON columns, in addresses and in
forms alike. Its canonical form has only what takes effect and differs from the default, so that two ways to
say the same are one rendition.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import Any, Self, TypeVar

from django.utils.translation import gettext as _

from pixian.protocol.errors import Refused
from pixian.protocol.form_fields import Color, Size
from pixian.protocol.limits import MAX_RESULT_PIXELS
from pixian.protocol.margin import NO_MARGIN, Margin
from pixian.protocol.options import WHITE, Alignment, Options

STRENGTH = 1, 100
MAX_DIGITS = 7
MAX_TEXT = 100  # characters of one value
MAX_WEBP_SIDE = 16_383
"""The largest side that the format can state. Source: RFC 9649, § 2.5."""

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
    def extension(self) -> str:
        return {"jpeg": "jpg", "webp": "webp"}.get(self, "png")


LOSSY = (Format.JPEG, Format.WEBP)


@dataclass(frozen=True)
class Style:
    """A style with valid values; raises StyleError for others.

    backdrop: the SHA-256 of the background picture, which belongs to the job's team. blur and strength: 1 to
    100. margin, size, alignment: as in the contract. quality: 1 to 100, of a JPEG or a WebP.
    """

    background: Background = Background.NONE
    color: Color = WHITE
    backdrop: str = ""
    blur: int = 40
    shadow: Shadow = Shadow.NONE
    strength: int = 50
    crop: bool = False
    margin: Margin = NO_MARGIN
    size: Size | None = None
    alignment: Alignment = Alignment.MIDDLE
    format: Format = Format.PNG
    quality: int = 85

    def __post_init__(self) -> None:
        if self.background is Background.PICTURE and not SHA256.fullmatch(self.backdrop):
            raise StyleError(_("Choose a background picture."))
        if self.size:
            self._check_size(self.size)

    @classmethod
    def parse(cls, mapping: Mapping[str, Any]) -> Self:
        """Parse a mapping; raise StyleError for a bad value and for a name that isn't a field's.

        An empty value counts as absent.
        """
        if unknown := set(mapping) - NAMES:
            raise StyleError(_("“%(name)s” isn't part of a style.") % {"name": min(unknown)[:MAX_TEXT]})
        texts = {name: _text(name, value) for name, value in mapping.items()}
        texts = {name: text for name, text in texts.items() if text}
        parsed = {name: PARSERS[name](name, text) for name, text in texts.items()}
        return cls(**parsed)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the canonical JSON of an address or a form; raise StyleError."""
        try:
            mapping = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise StyleError(_("The style can't be read.")) from error
        if not isinstance(mapping, dict):
            raise StyleError(_("The style can't be read."))
        return cls.parse(mapping)

    def canonical(self) -> dict[str, Any]:
        """Return what takes effect and differs from the default, in the order of the names."""
        if self.format is Format.DELTA_PNG:  # it can be nothing but the plain cut-out, as in the contract
            return {"format": str(self.format)}
        written = {name: _written(getattr(self, name)) for name in sorted(NAMES - self._without_effect())}
        return {name: value for name, value in written.items() if value != DEFAULTS[name]}

    def json(self) -> str:
        """Return the canonical form as JSON, without spaces."""
        return json.dumps(self.canonical(), separators=(",", ":"))

    @cached_property
    def sha256(self) -> str:
        """Return what tells its renditions from those of other styles."""
        return hashlib.sha256(self.json().encode()).hexdigest()

    @property
    def options(self) -> Options:
        """Return the contract's options for its geometry."""
        return Options(
            crop_to_foreground=self.crop,
            margin=self.margin,
            target_size=self.size,
            vertical_alignment=self.alignment,
        )

    @property
    def fill(self) -> Color | None:
        """Return the colour of its background, if that is a colour: a JPEG without one is white."""
        if self.background is Background.COLOR:
            return self.color
        return WHITE if self.background is Background.NONE and self.format is Format.JPEG else None

    def _check_size(self, size: Size) -> None:
        try:
            Options(target_size=size, margin=self.margin)
        except Refused as error:
            if size[0] * size[1] > MAX_RESULT_PIXELS:
                message = _("The size has more than %(limit)s megapixels.")
                raise StyleError(message % {"limit": MAX_RESULT_PIXELS // 1_000_000}) from error
            raise StyleError(_("The margin leaves no room for the picture within this size.")) from error
        if self.format is Format.WEBP and max(size) > MAX_WEBP_SIDE:
            message = _("A WebP has at most %(limit)s pixels a side.")
            raise StyleError(message % {"limit": MAX_WEBP_SIDE})

    def _without_effect(self) -> set[str]:
        effects = {
            "color": self.background is Background.COLOR,
            "backdrop": self.background is Background.PICTURE,
            "blur": self.background is Background.BLUR,
            "strength": self.shadow is not Shadow.NONE,
            "alignment": self.size is not None,
            "quality": self.format in LOSSY,
        }
        return {name for name, takes_effect in effects.items() if not takes_effect}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str | int) or len(text := str(value)) > MAX_TEXT:
        raise StyleError(_("The value of “%(name)s” can't be read.") % {"name": name})
    return " ".join(text.lower().split())


def _bad(name: str, text: str, allowed: str) -> StyleError:
    message = _("“%(text)s” isn't possible for “%(name)s”; possible are %(allowed)s.")
    return StyleError(message % {"text": text, "name": name, "allowed": allowed})


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


def _written(value: Any) -> Any:
    """Return a field's value as the canonical form has it."""
    if isinstance(value, Margin):
        return _shortest(value)
    if isinstance(value, tuple):
        return "{} {}".format(*value) if len(value) == 2 else "#{:02x}{:02x}{:02x}".format(*value)
    return str(value) if isinstance(value, StrEnum) else value


def _shortest(margin: Margin) -> str:
    """Return the margin in the fewest values of CSS, each without idle zeros."""
    sides = [margin.top, margin.right, margin.bottom, margin.left]
    texts = [f"{side.value.normalize():f}{side.unit}" if side.value else "0" for side in sides]
    if texts[1] == texts[3]:
        del texts[3]
        if texts[0] == texts[2]:
            del texts[2]
            if texts[0] == texts[1]:
                del texts[1]
    return " ".join(texts)


PARSERS: dict[str, Any] = {
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
NAMES = frozenset(PARSERS)
DEFAULTS = {field.name: _written(field.default) for field in fields(Style)}
PLAIN = Style()
"""The whole cut-out as it is: in its full frame, transparent, as PNG."""
