"""The geometry of a result: crop, margin, target size and alignment (§ 2 of the contract)."""

from dataclasses import dataclass

from pixian.imaging.containers import container
from pixian.protocol import errors
from pixian.protocol.form_fields import Size
from pixian.protocol.limits import MAX_RESULT_PIXELS
from pixian.protocol.margin import Edges
from pixian.protocol.options import Alignment, Format, Options

MAX_SIDE = {Format.PNG: container.MAX_SIDE, Format.DELTA_PNG: container.MAX_SIDE, Format.JPEG: 65_500}
"""The longest side of a result: of a PNG, what can be uploaded again (G); of a JPEG, the limit of libjpeg."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; ``right`` and ``bottom`` are exclusive."""

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

    def scaled(self, across: float, down: float, within: Size) -> "Box":
        """Return the box at another scale, at least a pixel large and within a frame."""
        left, top = min(round(self.left * across), within[0] - 1), min(round(self.top * down), within[1] - 1)
        right = min(max(left + 1, round(self.right * across)), within[0])
        bottom = min(max(top + 1, round(self.bottom * down)), within[1])
        return Box(left, top, right - left, bottom - top)


@dataclass(frozen=True)
class Layout:
    """The layout of a result.

    source: the part of the picture that is used. size: width and height of the result. content: the place of
    that part within the result.
    """

    source: Box
    size: Size
    content: Box

    def scaled(self, frame: Size, other: Size, edge: int) -> "Layout":
        """Return the layout of a small copy of the picture, for a result of at most ``edge`` pixels a side.

        frame, other: width and height of the picture and of its copy. Nothing is enlarged for it, unless it
        would be smaller than a third of ``edge``.
        """
        source = self.source.scaled(other[0] / frame[0], other[1] / frame[1], other)
        at_most = edge / max(self.size)
        sharp = max(source.width / self.content.width, source.height / self.content.height)
        scale = min(1, at_most, max(sharp, at_most / 3))
        size = max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))
        return Layout(source, size, self.content.scaled(scale, scale, size))

    def place(self, box: Box) -> Box:
        """Map a box within ``source`` to the result, rounded outwards to whole pixels."""
        source, content = self.source, self.content
        left = (box.left - source.left) * content.width // source.width
        top = (box.top - source.top) * content.height // source.height
        # -(-a // b) rounds up.
        right = -((source.left - box.right) * content.width // source.width)
        bottom = -((source.top - box.bottom) * content.height // source.height)
        return Box(content.left + left, content.top + top, right - left, bottom - top)


def lay_out(frame: Size, foreground: Box | None, options: Options) -> Layout:
    """Return the layout of a picture of this size, whose foreground lies in a box, or that has none.

    Raises Refused 400/1023 if the result would be too large.
    """
    source = Box(0, 0, *frame)
    if options.crop_to_foreground and foreground is not None:
        source = foreground
    size = result_size(source.size, options)
    edges = options.margin.edges(*(options.target_size or source.size))
    if options.target_size is None:
        return Layout(source, size, Box(edges.left, edges.top, *source.size))
    return Layout(source, size, _fit(source.size, size, edges, options.vertical_alignment))


def result_size(box: Size, options: Options) -> Size:
    """Return the size of the result for a box of this size; raise Refused 400/1023 if it is too large."""
    width, height = _outer_size(box, options)
    if width * height > MAX_RESULT_PIXELS:
        raise errors.result_too_large(width, height, f"{MAX_RESULT_PIXELS:,} pixels")
    longest = MAX_SIDE[options.output_format]
    if max(width, height) > longest:
        allowed = f"{longest:,} pixels a side for {options.output_format}"
        raise errors.result_too_large(width, height, allowed)
    return width, height


def most_pixels(frame: Size, options: Options) -> int:
    """Return the largest possible number of pixels of the result, before the foreground is known.

    Raises Refused 400/1023 if the result would be too large for any foreground.
    """
    result_size((1, 1) if options.crop_to_foreground else frame, options)
    width, height = _outer_size(frame, options)
    return min(width * height, MAX_RESULT_PIXELS)


def _outer_size(box: Size, options: Options) -> Size:
    if options.target_size is not None:
        return options.target_size
    edges = options.margin.edges(*box)
    return box[0] + edges.across, box[1] + edges.down


def _fit(box: Size, target: Size, edges: Edges, alignment: Alignment) -> Box:
    """Return the largest place within the margin that keeps the box's aspect ratio.

    If the spare space is odd, the extra pixel goes to the right or to the bottom.
    """
    inner = target[0] - edges.across, target[1] - edges.down
    scale = min(inner[0] / box[0], inner[1] / box[1])
    width, height = (min(max(1, round(side * scale)), cap) for side, cap in zip(box, inner, strict=True))
    spare = inner[1] - height
    above = {Alignment.TOP: 0, Alignment.MIDDLE: spare // 2, Alignment.BOTTOM: spare}[alignment]
    return Box(edges.left + (inner[0] - width) // 2, edges.top + above, width, height)
