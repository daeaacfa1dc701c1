"""The options of a drop-in call, and the upstream call that they translate to."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pixian.protocol import errors, form_fields
from pixian.protocol.limits import MAX_PROCESSED_PIXELS
from pixian.protocol.margin import NO_MARGIN, Margin
from pixian.removebg.background import Rgba, parse_color

SMALL, MEDIUM, HD = 250_000, 1_500_000, 4_000_000
SIZES = {
    "auto": MAX_PROCESSED_PIXELS,
    "full": MAX_PROCESSED_PIXELS,
    "4k": MAX_PROCESSED_PIXELS,
    "hd": HD,
    "medium": MEDIUM,
    "regular": SMALL,
    "small": SMALL,
    "preview": SMALL,
}
"""Limit on width × height, by the value of ``size``."""

SOURCES = ("image_file", "image_file_b64", "image_url")
UNDEFINED = "undefined"
"""Sent by JavaScript clients for an option that their caller left out."""

JSON = "application/json"


class Format(StrEnum):
    AUTO = "auto"
    PNG = "png"
    JPG = "jpg"
    ZIP = "zip"


class Channels(StrEnum):
    RGBA = "rgba"
    ALPHA = "alpha"


@dataclass(frozen=True)
class RemovebgOptions:
    """The options that shape a response.

    background_color: laid behind the cut-out; None leaves it transparent. as_json: the client wants the
    picture inside a JSON object.
    """

    max_pixels: int = MAX_PROCESSED_PIXELS
    format: Format = Format.AUTO
    channels: Channels = Channels.RGBA
    crop: bool = False
    margin: Margin = NO_MARGIN
    background_color: Rgba | None = None
    test: bool = False
    as_json: bool = False

    @classmethod
    def parse(cls, form: Mapping[str, str], accept: str = "") -> Self:
        """Parse form fields; raise Refused 400/1019, which names the field. Unknown names are ignored."""
        fields = drop_empty(form)
        crop = form_fields.boolean(fields, "crop")
        return cls(
            max_pixels=_max_pixels(fields),
            format=form_fields.choice(fields, "format", Format.AUTO),
            channels=form_fields.choice(fields, "channels", Channels.RGBA),
            crop=crop,
            margin=form_fields.margin(fields, "crop_margin") if crop else NO_MARGIN,
            background_color=_background_color(fields),
            test=form_fields.boolean(fields, "test"),
            as_json=_wants_json(accept),
        )

    def form(self) -> dict[str, str]:
        """Return the form fields of the upstream call, which always asks for a transparent PNG."""
        fields = {"output.format": "png"}
        if self.max_pixels != MAX_PROCESSED_PIXELS:
            fields["max_pixels"] = str(self.max_pixels)
        if self.crop:
            fields["result.crop_to_foreground"] = "true"
        if self.margin != NO_MARGIN:
            fields["result.margin"] = str(self.margin)
        if self.test:
            fields["test"] = "true"
        return fields


def drop_empty(form: Mapping[str, str]) -> dict[str, str]:
    """Return the fields trimmed, without those that are empty or ``undefined``."""
    trimmed = {name: text.strip() for name, text in form.items()}
    return {name: text for name, text in trimmed.items() if text not in ("", UNDEFINED)}


def _max_pixels(fields: Mapping[str, str]) -> int:
    text = fields.get("size", "auto").lower()
    if text not in SIZES:
        raise errors.bad_parameter("size", text, "one of " + ", ".join(SIZES))
    return SIZES[text]


def _background_color(fields: Mapping[str, str]) -> Rgba | None:
    text = fields.get("bg_color")
    try:
        return None if text is None else parse_color(text)
    except ValueError as error:
        allowed = "a colour such as fff, #81d4fa or 81d4fa77, or a CSS colour name"
        raise errors.bad_parameter("bg_color", str(text), allowed) from error


def _wants_json(accept: str) -> bool:
    """Return True if the client accepts JSON and no picture.

    Some HTTP libraries (axios) send ``application/json, */*`` with every request; their callers still
    expect a picture and write the body to a file.
    """
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    return JSON in kinds and not any(kind == "*/*" or kind.startswith("image/") for kind in kinds)
