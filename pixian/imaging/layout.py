"""Where everything in a result comes to lie: the geometry of crop, margin and target size (§ 2)."""

from dataclasses import dataclass

from pixian.protocol import errors
from pixian.protocol.form_fields import Size
from pixian.protocol.limits import MAX_RESULT_PIXELS
from pixian.protocol.margin import Edges
from pixian.protocol.options import Alignment, Format, Options

MAX_SIDE = {Format.PNG: 1_000_000, Format.DELTA_PNG: 1_000_000, Format.JPEG: 65_500}
"""The longest that the encoders can write. Source: libpng's and libjpeg's own limits."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, its far edges outside of it."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def size(self) -> Size:
        return self.width, self.height


@dataclass(frozen=True)
class Layout:
    """What of the picture is taken, how large the result is, and where in it the taken part lies."""

    source: Box
    size: Size
    content: Box

    def place(self, box: Box) -> Box:
        """A box of the picture, within ``source``, as it lies in the result: the whole pixels it touches."""
        source, content = self.source, self.content
        left = (box.left - source.left) * content.width // source.width
        top = (box.top - source.top) * content.height // source.height
        # Rounded up, by rounding down below zero.
        right = -((source.left - box.right) * content.width // source.width)
        bottom = -((source.top - box.bottom) * content.height // source.height)
        return Box(content.left + left, content.top + top, right - left, bottom - top)


def lay_out(frame: Size, foreground: Box | None, options: Options) -> Layout:
    """The layout of a picture of ``frame``'s width and height, its foreground in a box or not found.

    Raises Refused 400/1023 where the result would be too large.
    """
    source = Box(0, 0, *frame)
    if options.crop_to_foreground and foreground is not None:
        source = foreground
    size = result_size(source.size, options)
    edges = options.margin.edges(*(options.target_size or source.size))
    if options.target_size is None:
        return Layout(source, size, Box(edges.left, edges.top, *source.size))
    return Layout(source, size, _fitted(source.size, size, edges, options.vertical_alignment))


def result_size(box: Size, options: Options) -> Size:
    """Width and height of the result of a box before its margin; raises Refused 400/1023."""
    width, height = _outer(box, options)
    if width * height > MAX_RESULT_PIXELS:
        raise errors.result_too_large(width, height, f"{MAX_RESULT_PIXELS:,} pixels")
    longest = MAX_SIDE[options.output_format]
    if max(width, height) > longest:
        raise errors.result_too_large(width, height, f"{longest:,} pixels a side as {options.output_format}")
    return width, height


def most_pixels(frame: Size, options: Options) -> int:
    """How many pixels the result has at most, while nobody knows yet where the foreground is.

    Raises Refused 400/1023 where it would be too large wherever that is.
    """
    result_size((1, 1) if options.crop_to_foreground else frame, options)
    width, height = _outer(frame, options)
    return min(width * height, MAX_RESULT_PIXELS)


def _outer(box: Size, options: Options) -> Size:
    if options.target_size is not None:
        return options.target_size
    edges = options.margin.edges(*box)
    return box[0] + edges.across, box[1] + edges.down


def _fitted(box: Size, target: Size, edges: Edges, alignment: Alignment) -> Box:
    """As large as fits inside the margin, in its own shape; an odd spare pixel goes to the right or below."""
    inner = target[0] - edges.across, target[1] - edges.down
    scale = min(inner[0] / box[0], inner[1] / box[1])
    width, height = (min(max(1, round(side * scale)), most) for side, most in zip(box, inner, strict=True))
    spare = inner[1] - height
    above = {Alignment.TOP: 0, Alignment.MIDDLE: spare // 2, Alignment.BOTTOM: spare}[alignment]
    return Box(edges.left + (inner[0] - width) // 2, edges.top + above, width, height)
