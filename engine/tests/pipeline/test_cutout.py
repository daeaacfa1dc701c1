import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.pipeline.cutout import BackgroundRemover, price_microcredits
from engine.pipeline.matting import Matting
from engine.tests.conftest import photo
from pixian.imaging import delta_png
from pixian.protocol.errors import Refused
from pixian.protocol.options import Format, Options
from pixian.tests.imaging.format_cases import Patched, patched
from pixian.tests.imaging.orientation_cases import STORED, Turned, turned, turned_tiffs
from pixian.tests.imaging.pictures import chunk, gama, grey_icc, iccp, linear, png, rgb_icc
from pixian.tests.imaging.test_color_profile import as_seen, copy_of, patches_seen
from pixian.tests.imaging.tiff_cases import tiffs


@pytest.fixture
def remover(quick_matting: Matting) -> BackgroundRemover:
    return BackgroundRemover(quick_matting, 1_000_000, timeout=60)


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


@pytest.fixture
def real_remover(matting: Matting) -> BackgroundRemover:
    """A remover with a network that users can choose, for tests that depend on its matte."""
    return BackgroundRemover(matting, 1_000_000, timeout=60)


def test_a_photo_becomes_a_cut_out(real_remover: BackgroundRemover) -> None:
    made = real_remover.cut_out(io.BytesIO(photo("coffee")), Options())

    image = opened(made.content)
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (600, 400))
    assert image.getpixel((2, 2)) == (0, 0, 0, 0)
    pixels, original = np.asarray(image), np.asarray(Image.open(io.BytesIO(photo("coffee"))))
    foreground = pixels[..., 3] == 255
    np.testing.assert_array_equal(pixels[foreground][:, :3], original[foreground])
    assert (made.input_size, made.result_size, made.orientation) == ((600, 400), (600, 400), 1)
    assert made.charged_microcredits == made.price_microcredits == 240_000


def test_a_test_is_free_and_marked(remover: BackgroundRemover) -> None:
    plain = remover.cut_out(io.BytesIO(photo("coffee")), Options())
    test = remover.cut_out(io.BytesIO(photo("coffee")), Options(test=True))

    assert (test.charged_microcredits, test.price_microcredits) == (0, 240_000)
    difference = np.abs(np.asarray(opened(plain.content)).astype(int) - np.asarray(opened(test.content)))
    marked = difference.max(axis=2) > 20
    assert 0.02 < marked.mean() < 0.5
    quarters = [marked[y : y + 200, x : x + 300].mean() for y in (0, 200) for x in (0, 300)]
    assert min(quarters) > 0.01


def test_max_pixels_shrinks_before_work_and_price(remover: BackgroundRemover) -> None:
    made = remover.cut_out(io.BytesIO(photo("coffee")), Options(max_pixels=60_000))

    assert (made.input_size, made.result_size) == ((600, 400), (300, 200))
    assert made.price_microcredits == 60_000
    assert opened(made.content).size == (300, 200)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_photo_on_its_side_comes_out_upright(remover: BackgroundRemover, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    side = Image.open(io.BytesIO(photo("coffee"))).transpose(Image.Transpose.ROTATE_90)

    made = remover.cut_out(saved(side, kind, exif=exif), Options())

    assert (made.input_size, made.result_size, made.orientation) == ((600, 400), (600, 400), 6)
    alpha = np.asarray(opened(made.content))[..., 3]
    assert (alpha[200, 300], alpha[5, 5]) == (255, 0)


def test_the_pictures_own_alpha_stays(remover: BackgroundRemover) -> None:
    image = Image.open(io.BytesIO(photo("coffee"))).convert("RGBA")
    image.paste((0, 0, 0, 0), (250, 150, 300, 250))
    image.putalpha(image.getchannel("A").point(lambda value: value // 2))

    alpha = np.asarray(opened(remover.cut_out(saved(image), Options()).content))[..., 3]

    assert alpha[200, 275] == 0
    assert alpha[300, 250] == 127


def test_the_profile_stays_and_the_rest_is_dropped(remover: BackgroundRemover) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif.get_ifd(0x8825)[1] = "N"
    photo_with_place = Image.open(io.BytesIO(photo("coffee")))

    made = remover.cut_out(saved(photo_with_place, "JPEG", exif=exif, icc_profile=profile), Options())

    image = opened(made.content)
    assert image.info.pop("icc_profile") == profile
    assert not image.info
    assert not image.getexif()


def test_16_bit_grey_is_cut_out(remover: BackgroundRemover) -> None:
    grey = np.asarray(Image.open(io.BytesIO(photo("coffee"))).convert("L")).astype(np.uint16) * 257

    image = opened(remover.cut_out(saved(Image.fromarray(grey)), Options()).content)

    assert image.getpixel((2, 2)) == (0, 0, 0, 0)
    assert image.getpixel((300, 120))[0] == grey[120, 300] >> 8  # type: ignore[index]


def test_an_animation_gives_its_first_picture(remover: BackgroundRemover) -> None:
    first = Image.open(io.BytesIO(photo("coffee"))).quantize(64)
    gif = saved(first, "GIF", save_all=True, append_images=[Image.new("P", first.size)])

    assert np.asarray(opened(remover.cut_out(gif, Options()).content))[200, 300, 3] == 255


@pytest.mark.parametrize(
    "content",
    [b"", b"a text named photo.jpg", photo("coffee")[:20_000], photo("coffee")[:300], b"\x89PNG\r\n\x1a\n"],
)
def test_what_is_no_whole_picture_is_refused(remover: BackgroundRemover, content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        remover.cut_out(io.BytesIO(content), Options())
    assert (caught.value.status, caught.value.code) == (400, 1006)


@pytest.mark.parametrize(
    ("pixels", "rate", "price"),
    [(1_000_000, 1_000_000, 1_000_000), (1, 1_000_000, 1), (1, 1, 1), (1_000_001, 1, 2), (5, 0, 0)],
)
def test_begun_microcredits_count_whole(pixels: int, rate: int, price: int) -> None:
    assert price_microcredits(pixels, rate) == price


def described(content: bytes, chunks: bytes) -> bytes:
    """A PNG with chunks that say which colours it has."""
    return content[:33] + chunks + content[33:]


GREY = Image.open(io.BytesIO(photo("coffee"))).convert("L")
WIDE_GREY = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
COLORS = Image.open(io.BytesIO(photo("coffee")))
LIGHT = {
    "grey, grey ICC": (GREY, iccp(grey_icc())),
    "grey and alpha, grey ICC": (GREY.convert("LA"), iccp(grey_icc())),
    "grey of 16 bits, grey ICC": (WIDE_GREY, iccp(grey_icc())),
    "grey, RGB ICC": (GREY, iccp(rgb_icc())),
    "RGB, gAMA": (COLORS, gama(1.0)),
    "RGB, RGB ICC": (COLORS, iccp(rgb_icc())),
    "palette, gAMA": (COLORS.quantize(128), gama(1.0)),
}


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize("kind", [Format.PNG, Format.DELTA_PNG])
def test_a_result_has_the_colours_that_its_source_describes(
    remover: BackgroundRemover, name: str, kind: Format
) -> None:
    image, chunks = LIGHT[name]
    source = described(saved(image).getvalue(), chunks)

    content = remover.cut_out(io.BytesIO(source), Options(format=kind)).content

    result = copy_of(content)
    pixels, meant = (
        as_seen(result),
        linear(np.asarray((GREY if image is WIDE_GREY else image).convert("RGB"))),
    )
    if kind is Format.DELTA_PNG:
        pixels = delta_png.decode(copy_of(source).pixels, content)
        pixels = as_seen(replace(result, pixels=pixels))
    foreground = pixels[..., 3] == 255
    assert foreground.mean() > 0.1
    assert np.abs(pixels[foreground][:, :3].astype(int) - meant[foreground]).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_profile_leaves_transparency_as_it_is(remover: BackgroundRemover, bits: int) -> None:
    levels = np.asarray(GREY).astype(np.uint16) * (257 if bits == 16 else 1)
    hidden = int(levels[200, 300])
    rows = [row.astype(f">u{bits // 8}").tobytes() for row in levels]
    chunks = iccp(grey_icc(2.2)) + chunk(b"tRNS", hidden.to_bytes(2))
    source = io.BytesIO(png(GREY.size, bits, 0, rows, chunks))

    alpha = np.asarray(opened(remover.cut_out(source, Options()).content))[..., 3]

    assert (alpha[levels == hidden] == 0).all()
    assert (alpha == 255).mean() > 0.1


A_FEW = [*list(patched())[::12], *list(tiffs())[::24]]
"""Colours are settled before the engine has its turn, and ``test_color_profile`` walks all of them."""


@pytest.mark.parametrize("case", A_FEW, ids=lambda case: case.name)
def test_every_kind_of_picture_is_cut_out(real_remover: BackgroundRemover, case: Patched) -> None:
    """Compare its colours where the matte leaves anything of it."""
    result = copy_of(real_remover.cut_out(io.BytesIO(case.content), Options()).content)
    ours, meant = patches_seen(as_seen(result)), np.array([case.seen], np.uint8)
    left = ours[..., 3] == 255
    assert np.abs(ours[left].astype(int) - meant[left]).max(initial=0) <= case.by + 1
    assert (ours[..., 3] <= meant[..., 3]).all()


TURNED = [*list(turned())[5::9], *list(turned_tiffs())[5::6]]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow looks for a density, too
@pytest.mark.parametrize("case", TURNED, ids=lambda case: case.name)
def test_what_is_told_of_a_turn_fits_the_result(remover: BackgroundRemover, case: Turned) -> None:
    made = remover.cut_out(io.BytesIO(case.content), Options())
    size = STORED if case.orientation < 5 else STORED[::-1]
    assert (made.orientation, made.input_size, made.result_size) == (case.orientation, size, size)
    assert opened(made.content).size == size
