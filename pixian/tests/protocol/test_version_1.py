from datetime import UTC, datetime

from pixian.protocol.options import NAMES, Options
from pixian.protocol.version_1 import DEPRECATED, as_v2
from pixian.protocol.version_1 import NAMES as OLD


def test_the_old_names_stand_for_options() -> None:
    assert set(OLD.values()) <= NAMES
    assert Options.parse(as_v2({"maxPixels": "100", "output.jpegQuality": "5"})) == Options(
        max_pixels=100, jpeg_quality=5
    )


def test_the_present_names_are_read_too_and_the_old_ones_win() -> None:
    assert as_v2({"max_pixels": "100", "test": "true"}) == {"max_pixels": "100", "test": "true"}
    for fields in ({"maxPixels": "1", "max_pixels": "2"}, {"max_pixels": "2", "maxPixels": "1"}):
        assert as_v2(fields) == {"max_pixels": "1"}
    assert as_v2({"maxPixels": " ", "max_pixels": "2"}) == {"max_pixels": "2"}


def test_it_is_deprecated_since_the_second_version_came() -> None:
    assert datetime.fromtimestamp(int(DEPRECATED["Deprecation"][1:]), UTC) == datetime(
        2023, 6, 13, tzinfo=UTC
    )
