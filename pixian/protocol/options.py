"""The options of a call (§ 2 of the contract): parsed by a server, written to form fields by a client."""

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

    max_pixels: limit on width × height; a larger picture is shrunk to it first.
    background_color: red, green, blue, 0 to 255 each; None leaves the background transparent.
    target_size: width and height of the whole result, margin included; None derives it from the picture.
    format: as requested; ``output_format`` resolves ``auto``.
    jpeg_quality: 1 to 100. test: free of charge, and the result has a watermark.

    Raises Refused 400/1023 for a target size with too many pixels, and 400/1019 if the margin leaves no
    room within the target size (G).
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
        """Parse form fields; raise Refused 400/1019 or 400/1023.

        Unknown names are ignored, and an empty field counts as absent.
        """
        fields = {name: value.strip() for name, value in form.items() if value.strip()}
        return cls(
            max_pixels=form_fields.integer(fields, "max_pixels", *PIXELS_CAP, cls.max_pixels),
            background_color=form_fields.color(fields, "background.color"),
            crop_to_foreground=form_fields.boolean(fields, "result.crop_to_foreground"),
            margin=form_fields.margin(fields, "result.margin"),
            target_size=form_fields.size(fields, "result.target_size"),
            vertical_alignment=form_fields.choice(
                fields, "result.vertical_alignment", cls.vertical_alignment
            ),
            format=form_fields.choice(fields, "output.format", cls.format),
            jpeg_quality=form_fields.integer(fields, "output.jpeg_quality", *QUALITY, cls.jpeg_quality),
            test=form_fields.boolean(fields, "test"),
        )

    @classmethod
    def normalize(cls, form: Mapping[str, str]) -> dict[str, str]:
        """Return the form's options in canonical spelling: ``JPEG`` becomes ``jpeg``.

        Empty fields, and names that aren't options, are left out. Raises as ``parse`` does.
        """
        fields = {name: " ".join(text.split()) for name, text in form.items() if text.strip()}
        canonical = cls.parse(fields)._form_fields()
        # Kept in the client's notation: one value stays one, where the parsed margin has four.
        canonical["result.margin"] = fields.get("result.margin", "").lower()
        return {name: text for name, text in canonical.items() if name in fields}

    def form(self) -> dict[str, str]:
        """Return the form fields that differ from the defaults."""
        defaults = Options()._form_fields()
        return {name: text for name, text in self._form_fields().items() if text != defaults[name]}

    def effective(self) -> Self:
        """Return the options that take effect: a delta PNG ignores colour, crop, margin and target size."""
        if self.output_format is not Format.DELTA_PNG:
            return self
        return replace(
            self, background_color=None, crop_to_foreground=False, margin=NO_MARGIN, target_size=None
        )

    @property
    def output_format(self) -> Format:
        """Return the format of the result; ``auto`` resolves to JPEG if a colour was given, else to PNG."""
        if self.format is not Format.AUTO:
            return self.format
        return Format.PNG if self.background_color is None else Format.JPEG

    @property
    def content_type(self) -> str:
        return "image/jpeg" if self.output_format is Format.JPEG else "image/png"

    @property
    def fill_color(self) -> Color | None:
        """Return the colour to lay behind the foreground; None keeps it transparent.

        A JPEG can't be transparent: without a colour it is filled with white (G).
        """
        if self.output_format is Format.JPEG:
            return self.background_color or WHITE
        return self.background_color

    def keeps_frame(self, width: int, height: int) -> bool:
        """Return True if each pixel of the result has the position it had in a picture of this size."""
        effective = self.effective()
        edges = effective.margin.edges(width, height)
        return not (effective.crop_to_foreground or effective.target_size or edges.across or edges.down)

    def _form_fields(self) -> dict[str, str]:
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


NAMES = frozenset(Options()._form_fields())
"""The names of all options' form fields."""
