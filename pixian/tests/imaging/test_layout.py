"""The geometry, against a plain account of what the contract says."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pixian.imaging.layout import Box, Layout, lay_out, most_pixels, result_size
from pixian.protocol.errors import Code, Refused
from pixian.protocol.margin import Length, Margin, Unit
from pixian.protocol.options import Alignment, Format, Options

SIDES = st.integers(1, 400)
LENGTHS = st.builds(Length, st.decimals(0, 40, places=1), st.sampled_from(Unit))
MARGINS = st.builds(Margin, LENGTHS, LENGTHS, LENGTHS, LENGTHS)


@st.composite
def frames_and_boxes(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    width, height = draw(SIDES), draw(SIDES)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = Box(left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))
    return (width, height), box


@st.composite
def targets(draw: st.DrawFn) -> Options:
    size, margin = (draw(SIDES), draw(SIDES)), draw(MARGINS)
    try:
        options = Options(margin=margin, target_size=size)
    except Refused:
        assume(False)
        raise
    alignment = draw(st.sampled_from(Alignment))
    return replace(options, vertical_alignment=alignment, crop_to_foreground=draw(st.booleans()))


OPTIONS = targets() | st.builds(Options, margin=MARGINS, crop_to_foreground=st.booleans())


@given(frames_and_boxes(), MARGINS, st.booleans())
def test_margins_are_added_around_the_box(
    drawn: tuple[tuple[int, int], Box], margin: Margin, crop: bool
) -> None:
    frame, box = drawn
    layout = lay_out(frame, box, Options(margin=margin, crop_to_foreground=crop))

    before = box if crop else Box(0, 0, *frame)
    edges = margin.edges(*before.size)
    assert layout.source == before
    assert layout.content == Box(edges.left, edges.top, *before.size)
    assert layout.size == (
        edges.left + before.width + edges.right,
        edges.top + before.height + edges.bottom,
    )


@given(frames_and_boxes(), targets())
def test_a_target_size_is_kept_and_filled(drawn: tuple[tuple[int, int], Box], options: Options) -> None:
    frame, box = drawn
    layout = lay_out(frame, box, options)
    source, content, edges = layout.source, layout.content, options.margin.edges(*layout.size)
    inner = Box(
        edges.left, edges.top, layout.size[0] - edges.across, layout.size[1] - edges.down
    )  # what the margin leaves

    assert layout.size == options.target_size
    assert source == (box if options.crop_to_foreground else Box(0, 0, *frame))
    assert inner.left <= content.left < content.right <= inner.right
    assert inner.top <= content.top < content.bottom <= inner.bottom
    assert content.width == inner.width or content.height == inner.height
    for side, other in ((content.width, content.height), (content.height, content.width)):
        source_side, source_other = source.size if side == content.width else source.size[::-1]
        assert abs(side - other * source_side / source_other) <= 1 + source_side / source_other


@given(frames_and_boxes(), targets())
def test_spare_room_is_split_and_aligned(drawn: tuple[tuple[int, int], Box], options: Options) -> None:
    layout = lay_out(*drawn, options)
    edges = options.margin.edges(*layout.size)
    left, right = layout.content.left - edges.left, layout.size[0] - edges.right - layout.content.right
    above, below = layout.content.top - edges.top, layout.size[1] - edges.bottom - layout.content.bottom

    assert right - left in (0, 1)
    match options.vertical_alignment:
        case Alignment.TOP:
            assert above == 0
        case Alignment.BOTTOM:
            assert below == 0
        case Alignment.MIDDLE:
            assert below - above in (0, 1)


@given(frames_and_boxes(), OPTIONS)
def test_the_foreground_is_found_again_in_the_result(
    drawn: tuple[tuple[int, int], Box], options: Options
) -> None:
    frame, box = drawn
    layout = lay_out(frame, box, options)
    placed, content = layout.place(box), layout.content

    assert content.left <= placed.left < placed.right <= content.right
    assert content.top <= placed.top < placed.bottom <= content.bottom
    if options.crop_to_foreground:
        assert placed == content
    elif options.target_size is None:
        assert (placed.size, placed.left - box.left) == (box.size, content.left)


def test_a_box_is_placed_by_the_pixels_it_touches() -> None:
    layout = Layout(Box(0, 0, 9, 10), (30, 5), Box(0, 0, 30, 5))
    assert layout.place(Box(3, 1, 3, 2)) == Box(10, 0, 10, 2)


def test_nothing_found_leaves_the_frame() -> None:
    layout = lay_out((30, 20), None, Options(crop_to_foreground=True, margin=Margin.parse("10%")))
    assert (layout.source, layout.size) == (Box(0, 0, 30, 20), (36, 24))


@pytest.mark.parametrize(
    ("frame", "margin", "form", "code"),
    [
        ((5000, 5000), "1px", Format.PNG, Code.RESULT_TOO_LARGE),
        ((1, 1), "999999999px", Format.PNG, Code.RESULT_TOO_LARGE),
        ((65_499, 1), "0 1px", Format.JPEG, Code.RESULT_TOO_LARGE),
        ((65_536, 1), "0", Format.PNG, Code.RESULT_TOO_LARGE),
        ((5000, 5000), "0", Format.PNG, 0),
        ((65_499, 1), "0 1px 0 0", Format.JPEG, 0),
        ((65_499, 1), "0 2px", Format.PNG, 0),
        ((65_535, 1), "0", Format.PNG, 0),
    ],
)
def test_a_result_has_bounds(frame: tuple[int, int], margin: str, form: Format, code: int) -> None:
    options = Options(margin=Margin.parse(margin), format=form)
    if code:
        with pytest.raises(Refused) as caught:
            result_size(frame, options)
        assert (caught.value.status, caught.value.code) == (400, code)
    else:
        assert result_size(frame, options) >= frame


class TestBeforeTheForegroundIsKnown:
    def test_what_can_only_be_too_large_is_refused(self) -> None:
        for options in (
            Options(margin=Margin.parse("10%")),
            Options(margin=Margin.parse("5000px"), crop_to_foreground=True),
        ):
            with pytest.raises(Refused):
                most_pixels((4999, 4999), options)

    def test_a_crop_may_still_be_small_enough(self) -> None:
        options = Options(margin=Margin.parse("10%"), crop_to_foreground=True)
        assert most_pixels((4999, 4999), options) == 25_000_000

    @given(frames_and_boxes(), OPTIONS)
    def test_the_result_has_at_most_so_many(
        self, drawn: tuple[tuple[int, int], Box], options: Options
    ) -> None:
        frame, box = drawn
        width, height = lay_out(frame, box, options).size
        assert width * height <= most_pixels(frame, options)
