"""What a call of the drop-in asks for, and what is asked of the upstream for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pixian.protocol import errors, form_fields
from pixian.protocol.limits import MAX_PROCESSED_PIXELS
from pixian.protocol.margin import NO_MARGIN, Margin
from pixian.removebg.background import Paint, parse_paint

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
"""Pixels at most."""

SOURCES = ("image_file", "image_file_b64", "image_url")
UNDEFINED = "undefined"
"""What a JavaScript client writes for what its caller left out."""

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
    """What shapes an answer. paint: laid behind the cut-out; None leaves it as it is. as_json: the client
    wants the picture inside a JSON object."""

    max_pixels: int = MAX_PROCESSED_PIXELS
    format: Format = Format.AUTO
    channels: Channels = Channels.RGBA
    crop: bool = False
    margin: Margin = NO_MARGIN
    paint: Paint | None = None
    test: bool = False
    as_json: bool = False

    @classmethod
    def parse(cls, form: Mapping[str, str], accept: str = "") -> Self:
        """Out of form fields; raises Refused 400/1019, which names the field. Names that the contract doesn't
        know are ignored."""
        given = present(form)
        crop = form_fields.boolean(given, "crop")
        return cls(
            max_pixels=_size(given),
            format=form_fields.choice(given, "format", Format.AUTO),
            channels=form_fields.choice(given, "channels", Channels.RGBA),
            crop=crop,
            margin=form_fields.margin(given, "crop_margin") if crop else NO_MARGIN,
            paint=_paint(given),
            test=form_fields.boolean(given, "test"),
            as_json=_wants_json(accept),
        )

    def form(self) -> dict[str, str]:
        """The form fields of the call to the upstream: always a PNG with its transparency."""
        asked = {"output.format": "png"}
        if self.max_pixels != MAX_PROCESSED_PIXELS:
            asked["max_pixels"] = str(self.max_pixels)
        if self.crop:
            asked["result.crop_to_foreground"] = "true"
        if self.margin != NO_MARGIN:
            asked["result.margin"] = str(self.margin)
        return asked | ({"test": "true"} if self.test else {})


def present(form: Mapping[str, str]) -> dict[str, str]:
    """The fields that say something, trimmed."""
    trimmed = {name: text.strip() for name, text in form.items()}
    return {name: text for name, text in trimmed.items() if text not in ("", UNDEFINED)}


def _size(given: Mapping[str, str]) -> int:
    text = given.get("size", "auto").lower()
    if text not in SIZES:
        raise errors.bad_parameter("size", text, "one of " + ", ".join(SIZES))
    return SIZES[text]


def _paint(given: Mapping[str, str]) -> Paint | None:
    text = given.get("bg_color")
    try:
        return None if text is None else parse_paint(text)
    except ValueError as error:
        allowed = "a colour such as fff, #81d4fa, 81d4fa77 or its name"
        raise errors.bad_parameter("bg_color", str(text), allowed) from error


def _wants_json(accept: str) -> bool:
    """Only whoever takes nothing that a picture is. Some clients name JSON first in every call, and then
    everything (axios does): they write what comes into a file."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    return JSON in kinds and not any(kind == "*/*" or kind.startswith("image/") for kind in kinds)
