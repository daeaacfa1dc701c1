"""Metadata never costs a picture; missing pixels always do."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pixian.imaging import decode
from pixian.imaging.containers.tiff import MAX_STRIPS
from pixian.imaging.convert import Pixels
from pixian.protocol.errors import Code, Refused
from pixian.tests.imaging.attacks import LONG, tiff, tiff_of_tiles
from pixian.tests.imaging.odd_pictures import (
    CUT,
    ODD,
    PLAIN,
    chunk,
    jpeg_with,
    png_with,
    saved,
    scene,
    segment,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def pixels(content: bytes) -> Pixels:
    image, _header = decode.open_picture(io.BytesIO(content))
    decode.decode(image)
    return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_the_picture_that_it_is(name: str) -> None:
    plain, make = ODD[name]
    content = make()
    header = decode.check(io.BytesIO(content))
    assert header == decode.check(io.BytesIO(PLAIN[plain]))
    assert np.array_equal(pixels(content), pixels(PLAIN[plain]))


@pytest.mark.parametrize("make", CUT.values(), ids=CUT)
def test_a_file_that_is_cut_short_is_refused(make: Callable[[], bytes]) -> None:
    for read in (lambda content: decode.check(io.BytesIO(content)), pixels):
        with pytest.raises(Refused) as caught:
            read(make())
        assert caught.value.code == Code.UNREADABLE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_profile_stays(kind: str) -> None:
    profile = bytes(16) + b"RGB " + bytes(200_000)
    content = saved(kind, icc_profile=profile)
    image, _header = decode.open_picture(io.BytesIO(content))
    assert image.info["icc_profile"] == profile


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_in_every_mode_is_read_as_it_was(mode: str) -> None:
    assert_same_as_pillow(saved("PNG", scene_in(mode)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_in_every_mode_is_read_as_it_was(mode: str, compression: str | None, *, big: bool) -> None:
    assert_same_as_pillow(saved("TIFF", scene_in(mode), compression=compression, big_tiff=big))


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 80},
        {"lossless": True},
        {"lossless": True, "save_all": True, "append_images": [scene().rotate(90)]},
        {"save_all": True, "append_images": [scene().rotate(90)], "icc_profile": b"abc", "xmp": b"<x/>"},
    ],
    ids=["lossy", "lossless", "lossless, moving", "moving, described"],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_is_read_as_it_was(mode: str, options: dict[str, object]) -> None:
    image = scene().convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    assert_same_as_pillow(saved("WEBP", image, **options))


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = {"save_all": True, "append_images": [scene().rotate(90), scene().rotate(180)]}
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        assert_same_as_pillow(saved(kind, scene(), **frames))


def test_the_first_exif_decides_even_if_it_is_none() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    odd = segment(0xE1, b"Exif\0\0rubbish"), segment(0xE1, turned)
    assert decode.check(io.BytesIO(jpeg_with(*odd))).orientation == 1
    assert decode.check(io.BytesIO(jpeg_with(*reversed(odd)))).orientation == 6


def test_what_stands_behind_a_pngs_pixels_is_not_looked_at() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved("PNG", exif=exif)
    at, end = turned.index(b"eXIf") - 4, turned.index(b"IDAT") - 4
    assert decode.check(io.BytesIO(turned)).orientation == 6
    behind = turned[:at] + turned[end:-12] + turned[at:end] + turned[-12:]
    assert decode.check(io.BytesIO(behind)).orientation == 1


@pytest.mark.parametrize(
    "palettes", [(), (b"",), (b"ab",), (b"", b"abc")], ids=["none", "empty", "less than a colour", "too late"]
)
def test_a_png_of_indices_without_a_palette_is_no_picture(palettes: tuple[bytes, ...]) -> None:
    content = saved("PNG", scene().quantize(4))
    start, end = content.index(b"PLTE") - 4, content.index(b"IDAT") - 4
    assert decode.check(io.BytesIO(content))
    with pytest.raises(Refused) as caught:
        decode.check(
            io.BytesIO(content[:start] + b"".join(chunk(b"PLTE", p) for p in palettes) + content[end:])
        )
    assert caught.value.code == Code.UNREADABLE


def test_a_png_of_two_headers_is_no_picture() -> None:
    """The palette, which comes between them, would be skipped."""
    content = saved("PNG", scene().quantize(4))
    start, end = content.index(b"PLTE") - 4, content.index(b"IDAT") - 4
    colored = chunk(b"IHDR", content[16:24] + b"\x08\2\0\0\0")
    with pytest.raises(Refused):
        decode.check(
            io.BytesIO(content[:8] + colored + content[start:end] + content[8:start] + content[end:])
        )


@pytest.mark.parametrize("tile", [(16, 16), (256, 256), (512, 512), (1_024, 1_024), (1_024, 16)])
@pytest.mark.parametrize(
    "size", [(1, 1), (300, 200), (1_025, 1_025), (65_535, 1), (1, 65_535), (65_535, 488)]
)
def test_tiles_may_stick_out_of_any_picture(size: tuple[int, int], tile: tuple[int, int]) -> None:
    count = -(-size[0] // tile[0]) * -(-size[1] // tile[1])
    if count <= MAX_STRIPS:
        header = decode.check(io.BytesIO(tiff_of_tiles(size, tile)))
        assert (header.width, header.height) == size


@pytest.mark.parametrize("size", [0, 16, 256, 4096, 1 << 31])
@pytest.mark.parametrize("count", [1, 16])
def test_plain_strips_are_read_whatever_size_is_told(count: int, size: int) -> None:
    at, rows = 4096 + 8 * count, 16 // count
    starts = range(at, at + 256, 16 * rows)
    behind = struct.pack(f"<{2 * count}I", *starts, *[size] * count) + bytes(range(256))
    entries = (273, LONG, count, 4096), (279, LONG, count, 4096 + 4 * count)
    if count == 1:
        entries = (273, LONG, 1, at), (279, LONG, 1, size)
    content = tiff(*entries, (278, LONG, 1, rows), behind=behind)
    assert np.array_equal(pixels(content)[..., 0].ravel(), range(256))


def test_an_empty_png_chunk_list_is_no_picture() -> None:
    with pytest.raises(Refused):
        decode.check(io.BytesIO(png_with()[:33]))


def scene_in(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(scene().convert("L"), np.uint16) * 250)
    return scene().convert(mode)


def assert_same_as_pillow(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image)
    opened, header = decode.open_picture(io.BytesIO(content))
    assert (header.width, header.height) == opened.size
    decode.decode(opened)
    assert np.array_equal(np.asarray(opened), expected)
