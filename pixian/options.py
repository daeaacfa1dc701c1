"""What a call asks for besides the picture: parsed by the server, written by the client."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pixian import errors
from pixian.limits import MAX_PROCESSED_PIXELS

MIN_PIXELS_CAP = 100
BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Options:
    """The options of ``POST /remove-background``, with the contract's defaults (§ 2).

    max_pixels: cap on width × height; a bigger picture is shrunk to it first.
    test: free of charge, and the result carries a watermark.
    """

    max_pixels: int = MAX_PROCESSED_PIXELS
    test: bool = False

    @classmethod
    def parse(cls, form: Mapping[str, str]) -> Self:
        """Options out of form fields; raises Refused 400/1019. Unknown names are ignored, and an empty
        field counts as absent."""
        given = {name: value.strip() for name, value in form.items() if value.strip()}
        return cls(
            max_pixels=_integer(given, "max_pixels", MIN_PIXELS_CAP, MAX_PROCESSED_PIXELS),
            test=_boolean(given, "test"),
        )

    def form(self) -> dict[str, str]:
        """The form fields that differ from the defaults."""
        fields = {}
        if self.max_pixels != MAX_PROCESSED_PIXELS:
            fields["max_pixels"] = str(self.max_pixels)
        if self.test:
            fields["test"] = "true"
        return fields


def _boolean(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "false")
    if text.lower() not in BOOLEANS:
        raise errors.bad_parameter(name, text, "true or false")
    return BOOLEANS[text.lower()]


def _integer(given: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = given.get(name, str(high))
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
        raise errors.bad_parameter(name, text, f"an integer from {low} to {high}")
    return int(text)
