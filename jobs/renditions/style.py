"""Describe how a cut-out is presented: background, shadow, crop, margin, size and format.

A style is written as a mapping of short texts, numbers and booleans: in JSON columns, in addresses and in
forms alike. Its canonical form has only what takes effect and differs from the default, so that two ways to
say the same are one rendition.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from django.utils.translation import gettext as _

from jobs.renditions.style_fields import (
    LOSSY,
    MAX_TEXT,
    PARSERS,
    SHA256,
    Background,
    Format,
    Shadow,
    StyleError,
    text_of,
)
from pixian.imaging import layout
from pixian.imaging.layout import Box, Layout
from pixian.protocol import errors
from pixian.protocol.errors import Refused
from pixian.protocol.form_fields import Color, Size
from pixian.protocol.limits import MAX_RESULT_PIXELS
from pixian.protocol.margin import NO_MARGIN, Margin
from pixian.protocol.options import WHITE, Alignment, Options

__all__ = ["PLAIN", "Background", "Format", "Shadow", "Style", "StyleError"]

MAX_SIDE = {Format(name): side for name, side in layout.MAX_SIDE.items()} | {Format.WEBP: 16_383}
"""The longest side by format. A WebP's is the largest that it can state; source: RFC 9649, § 2.5."""


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
        texts = {name: text_of(name, value) for name, value in mapping.items()}
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

    def lay_out(self, frame: Size, foreground: Box | None) -> Layout:
        """Return the layout of a picture of this size; raise Refused 400/1023 if its format can't hold it.

        foreground: the box of the subject; None without one.
        """
        laid_out = layout.lay_out(frame, foreground, self.options)
        if max(laid_out.size) > (longest := MAX_SIDE[self.format]):
            raise errors.result_too_large(*laid_out.size, f"{longest:,} pixels a side for {self.format}")
        return laid_out

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
        if max(size) > (longest := MAX_SIDE[self.format]):
            message = _("A %(format)s has at most %(limit)s pixels a side.")
            raise StyleError(message % {"format": self.format.label, "limit": longest})

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


NAMES = frozenset(PARSERS)
DEFAULTS = {field.name: _written(field.default) for field in fields(Style)}
PLAIN = Style()
"""The whole cut-out as it is: in its full frame, transparent, as PNG."""
