"""Any style on any subject: the file is of the style's format, size and kind."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.renditions.compose import compose, encoded
from jobs.renditions.style import MAX_SIDE, Background, Format, Shadow, Style
from jobs.tests.renditions.test_style import STYLES
from pixian.imaging.compose import foreground_box
from pixian.imaging.convert import WorkingCopy
from pixian.imaging.layout import lay_out
from pixian.protocol.errors import Code, Refused
from pixian.tests.imaging.test_restyle import subjects

OPAQUE = (Background.COLOR, Background.BLUR)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(STYLES, subjects(), st.booleans())
def test_the_file_is_what_the_style_says(style: Style, subject: object, same_size: bool) -> None:
    assume(style.background is not Background.PICTURE and style.format is not Format.DELTA_PNG)
    pixels = subject[0]  # type: ignore[index]
    height, width = pixels.shape[:2]
    cut_out = WorkingCopy(pixels, None, (width, height))
    original = WorkingCopy(
        np.full((height + (not same_size), width, 4), 200, np.uint8), None, (width, height)
    )
    layout = lay_out((width, height), foreground_box(pixels), style.options)

    made, is_opaque = compose(cut_out, layout, style, None, lambda: original)
    content = encoded(made.copy(), style, None, is_opaque=is_opaque)
    image = Image.open(io.BytesIO(content))
    image.load()

    assert image.format == {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}[style.format]
    assert image.size == layout.size
    if style.size:
        assert image.size == style.size
    assert is_opaque == (style.background in OPAQUE or style.format is Format.JPEG)
    if is_opaque:
        assert image.mode == "RGB"
    elif style.shadow is Shadow.NONE and style.format is Format.PNG:
        assert np.array(image)[..., 3].max() == 255


@pytest.mark.parametrize("form", Format)
def test_what_a_format_can_hold_is_encoded_and_a_longer_one_is_refused(form: Format) -> None:
    style, longest = Style(format=form), MAX_SIDE[form]
    width, height = style.lay_out((longest, 1), None).size
    assert encoded(np.zeros((height, width, 4), np.uint8), style, None, is_opaque=False)
    with pytest.raises(Refused) as caught:
        style.lay_out((longest + 1, 1), None)
    assert caught.value.code == Code.RESULT_TOO_LARGE
