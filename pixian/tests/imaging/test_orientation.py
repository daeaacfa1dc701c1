"""One answer to which way up a picture is: header, working copy and small view agree, with Chromium."""

import io

import numpy as np
import pytest

from pixian.imaging.convert import thumbnail, working_copy
from pixian.imaging.decode import check, decode, open_picture
from pixian.tests.imaging.orientation_cases import (
    CORNERS,
    STORED,
    UPPER_LEFT,
    Turned,
    turned,
    turned_tiffs,
)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow looks for a density, too
@pytest.mark.parametrize("case", [*turned(), *turned_tiffs()], ids=lambda case: case.name)
def test_header_picture_and_small_view_agree(case: Turned) -> None:
    assert check(io.BytesIO(case.content)).orientation == case.orientation
    image, header = open_picture(io.BytesIO(case.content))
    decode(image)
    copy = working_copy(image, header.orientation, header.pixels)
    small, _profile = thumbnail(image, header.orientation, 1000)

    size = STORED if case.orientation < 5 else STORED[::-1]
    assert (header.format, header.orientation) == (case.kind, case.orientation)
    assert (header.width, header.height) == copy.size == small.size == size
    corner = CORNERS[UPPER_LEFT[case.orientation]]
    for pixels in (copy.pixels, np.asarray(small)):
        assert np.abs(pixels[4, 4, :3].astype(int) - corner).max() < 10
