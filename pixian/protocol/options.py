"""What a call asks for besides the picture: parsed by the server, written by the client."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from pixian.protocol import errors, form_fields
from pixian.protocol.form_fields import Color, Size
from pixian.protocol.limits import MAX_PROCESSED_PIXELS, MAX_RESULT_PIXELS
from pixian.protocol.margin import NO_MARGIN, Margin

PIXELS_CAP = 100, MAX_PROCESSED_PIXELS
QUALITY = 1, 100
DEFAULT_QUALITY = 75
WHITE: Color = (255, 255, 255)


class Alignment(StrEnum):
    TOP = "top"
    MIDDLE = "middle"
    BOTTOM = "bottom"


class Format(StrEnum):
    AUTO = "auto"
    PNG = "png"
    JPEG = "jpeg"
    DELTA_PNG = "delta_png"


@dataclass(frozen=True)
class Options:
    """The options of ``POST /remove-background``, with the contract's defaults (§ 2).

    max_pixels: cap on width × height; a bigger picture is shrunk to it first.
    background_color: red, green, blue, 0 to 255 each; None leaves the background transparent.
    target_size: width and height of the whole result, margin included; None follows the picture.
    format: as asked for; ``output_format`` says what it comes to.
    jpeg_quality: 1 to 100. test: free of charge, and the result carries a watermark.

    Raises Refused 400/1023 for a target size of too many pixels, and 400/1019 for one that the margin
    leaves nothing of (G).
    """

    max_pixels: int = MAX_PROCESSED_PIXELS
    background_color: Color | None = None
    crop_to_foreground: bool = False
    margin: Margin = NO_MARGIN
    target_size: Size | None = None
    vertical_alignment: Alignment = Alignment.MIDDLE
    format: Format = Format.AUTO
    jpeg_quality: int = DEFAULT_QUALITY
    test: bool = False

    def __post_init__(self) -> None:
        if self.target_size is None:
            return
        width, height = self.target_size
        if width * height > MAX_RESULT_PIXELS:
            raise errors.result_too_large(width, height, f"{MAX_RESULT_PIXELS:,} pixels")
        edges = self.margin.edges(width, height)
        if edges.across >= width or edges.down >= height:
            raise errors.bad_parameter("result.margin", str(self.margin), "less than the target size")

    @classmethod
    def parse(cls, form: Mapping[str, str]) -> Self:
        """Options out of form fields; raises Refused 400/1019 and 400/1023. Unknown names are ignored,
        and an empty field counts as absent."""
        given = {name: value.strip() for name, value in form.items() if value.strip()}
        return cls(
            max_pixels=form_fields.integer(given, "max_pixels", *PIXELS_CAP, cls.max_pixels),
            background_color=form_fields.color(given, "background.color"),
            crop_to_foreground=form_fields.boolean(given, "result.crop_to_foreground"),
            margin=form_fields.margin(given, "result.margin"),
            target_size=form_fields.size(given, "result.target_size"),
            vertical_alignment=form_fields.choice(given, "result.vertical_alignment", cls.vertical_alignment),
            format=form_fields.choice(given, "output.format", cls.format),
            jpeg_quality=form_fields.integer(given, "output.jpeg_quality", *QUALITY, cls.jpeg_quality),
            test=form_fields.boolean(given, "test"),
        )

    @classmethod
    def understood(cls, form: Mapping[str, str]) -> dict[str, str]:
        """Return the fields that say something, each as it was understood and not as it was spelled: ``JPEG``
        is ``jpeg``. Names that aren't options are left out; raises what ``parse`` raises."""
        given = {name: " ".join(text.split()) for name, text in form.items() if text.strip()}
        written = cls.parse(given)._written()
        written["result.margin"] = given.get("result.margin", "").lower()  # four values may have come as one
        return {name: text for name, text in written.items() if name in given}

    def form(self) -> dict[str, str]:
        """The form fields that differ from the defaults."""
        defaults = Options()._written()
        return {name: text for name, text in self._written().items() if text != defaults[name]}

    def heeded(self) -> Self:
        """What counts of them: a delta PNG has its original's frame, whatever else was asked for."""
        if self.output_format is not Format.DELTA_PNG:
            return self
        return replace(
            self, background_color=None, crop_to_foreground=False, margin=NO_MARGIN, target_size=None
        )

    @property
    def output_format(self) -> Format:
        """What the result is written as; never ``auto``, which is JPEG exactly where a colour is given."""
        if self.format is not Format.AUTO:
            return self.format
        return Format.PNG if self.background_color is None else Format.JPEG

    @property
    def content_type(self) -> str:
        return "image/jpeg" if self.output_format is Format.JPEG else "image/png"

    @property
    def ground(self) -> Color | None:
        """What lies behind the foreground; None is transparency. A JPEG has none, so it is white (G)."""
        if self.output_format is Format.JPEG:
            return self.background_color or WHITE
        return self.background_color

    def keeps_frame(self, width: int, height: int) -> bool:
        """Tell whether the result lies on a picture of this size, point by point."""
        heeded = self.heeded()
        edges = heeded.margin.edges(width, height)
        return not (heeded.crop_to_foreground or heeded.target_size or edges.across or edges.down)

    def _written(self) -> dict[str, str]:
        color, size = self.background_color, self.target_size
        return {
            "max_pixels": str(self.max_pixels),
            "background.color": "#{:02X}{:02X}{:02X}".format(*color) if color else "",
            "result.crop_to_foreground": str(self.crop_to_foreground).lower(),
            "result.margin": str(self.margin),
            "result.target_size": "{} {}".format(*size) if size else "",
            "result.vertical_alignment": self.vertical_alignment,
            "output.format": self.format,
            "output.jpeg_quality": str(self.jpeg_quality),
            "test": str(self.test).lower(),
        }


NAMES = frozenset(Options()._written())
"""Of the form fields that are options."""
