"""Finding a JPEG's markers, across the windows in which a file is read."""

import io
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixian.imaging import spliced_file
from pixian.imaging.containers.jpeg import MARKER, SCAN_END
from pixian.imaging.spliced_file import SourceFile

RESTARTS = set(range(0xD0, 0xD8))
WINDOW_BYTES = 8


@pytest.mark.parametrize(
    ("pattern", "no_marker"), [(MARKER, {0x00, 0xFF}), (SCAN_END, {0x00, 0xFF} | RESTARTS)]
)
@given(
    content=st.lists(st.sampled_from([0xFF, 0xFF, 0x00, 0x01, 0xD0, 0xD7, 0xD9])),
    position=st.integers(0, 20),
)
def test_a_marker_is_the_first_that_two_bytes_make(
    pattern: re.Pattern[bytes], no_marker: set[int], content: list[int], position: int
) -> None:
    pairs = enumerate(pairwise(content))
    expected = (at for at, (one, two) in pairs if at >= position and one == 0xFF and two not in no_marker)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spliced_file, "WINDOW_BYTES", WINDOW_BYTES)
        found = SourceFile(io.BytesIO(bytes(content))).find(pattern, position)
    assert found == next(expected, len(content))
