import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.cutout import Cutter, price_microcredits
from engine.matte import Matter
from engine.tests.conftest import photo
from pixian.errors import Refused
from pixian.options import Options


@pytest.fixture
def cutter(matter: Matter) -> Cutter:
    return Cutter(matter, 1_000_000, timeout=60)


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


def test_a_photo_becomes_a_cut_out(cutter: Cutter) -> None:
    made = cutter.cut_out(io.BytesIO(photo("coffee")), Options())

    image = opened(made.content)
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (600, 400))
    assert image.getpixel((2, 2)) == (0, 0, 0, 0)
    pixels, original = np.asarray(image), np.asarray(Image.open(io.BytesIO(photo("coffee"))))
    foreground = pixels[..., 3] == 255
    np.testing.assert_array_equal(pixels[foreground][:, :3], original[foreground])
    assert (made.input_size, made.result_size, made.orientation) == ((600, 400), (600, 400), 1)
    assert made.charged_microcredits == made.price_microcredits == 240_000


def test_a_test_is_free_and_marked(cutter: Cutter) -> None:
    plain = cutter.cut_out(io.BytesIO(photo("coffee")), Options())
    test = cutter.cut_out(io.BytesIO(photo("coffee")), Options(test=True))

    assert (test.charged_microcredits, test.price_microcredits) == (0, 240_000)
    difference = np.abs(np.asarray(opened(plain.content)).astype(int) - np.asarray(opened(test.content)))
    marked = difference.max(axis=2) > 20
    assert 0.02 < marked.mean() < 0.5
    quarters = [marked[y : y + 200, x : x + 300].mean() for y in (0, 200) for x in (0, 300)]
    assert min(quarters) > 0.01


def test_max_pixels_shrinks_before_work_and_price(cutter: Cutter) -> None:
    made = cutter.cut_out(io.BytesIO(photo("coffee")), Options(max_pixels=60_000))

    assert (made.input_size, made.result_size) == ((600, 400), (300, 200))
    assert made.price_microcredits == 60_000
    assert opened(made.content).size == (300, 200)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_photo_on_its_side_comes_out_upright(cutter: Cutter, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    side = Image.open(io.BytesIO(photo("coffee"))).transpose(Image.Transpose.ROTATE_90)

    made = cutter.cut_out(saved(side, kind, exif=exif), Options())

    assert (made.input_size, made.result_size, made.orientation) == ((600, 400), (600, 400), 6)
    alpha = np.asarray(opened(made.content))[..., 3]
    assert (alpha[200, 300], alpha[5, 5]) == (255, 0)


def test_the_pictures_own_alpha_stays(cutter: Cutter) -> None:
    image = Image.open(io.BytesIO(photo("coffee"))).convert("RGBA")
    image.paste((0, 0, 0, 0), (250, 150, 300, 250))
    image.putalpha(image.getchannel("A").point(lambda value: value // 2))

    alpha = np.asarray(opened(cutter.cut_out(saved(image), Options()).content))[..., 3]

    assert alpha[200, 275] == 0
    assert alpha[300, 250] == 127


def test_the_profile_stays_and_the_rest_is_dropped(cutter: Cutter) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif.get_ifd(0x8825)[1] = "N"
    photo_with_place = Image.open(io.BytesIO(photo("coffee")))

    made = cutter.cut_out(saved(photo_with_place, "JPEG", exif=exif, icc_profile=profile), Options())

    image = opened(made.content)
    assert image.info.pop("icc_profile") == profile
    assert not image.info
    assert not image.getexif()


def test_16_bit_grey_is_cut_out(cutter: Cutter) -> None:
    grey = np.asarray(Image.open(io.BytesIO(photo("coffee"))).convert("L")).astype(np.uint16) * 257

    image = opened(cutter.cut_out(saved(Image.fromarray(grey)), Options()).content)

    assert image.getpixel((2, 2)) == (0, 0, 0, 0)
    assert image.getpixel((300, 120))[0] == grey[120, 300] >> 8  # type: ignore[index]


def test_an_animation_gives_its_first_picture(cutter: Cutter) -> None:
    first = Image.open(io.BytesIO(photo("coffee"))).quantize(64)
    gif = saved(first, "GIF", save_all=True, append_images=[Image.new("P", first.size)])

    assert np.asarray(opened(cutter.cut_out(gif, Options()).content))[200, 300, 3] == 255


@pytest.mark.parametrize(
    "content",
    [b"", b"a text named photo.jpg", photo("coffee")[:20_000], photo("coffee")[:300], b"\x89PNG\r\n\x1a\n"],
)
def test_what_is_no_whole_picture_is_refused(cutter: Cutter, content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        cutter.cut_out(io.BytesIO(content), Options())
    assert (caught.value.status, caught.value.code) == (400, 1006)


@pytest.mark.parametrize(
    ("pixels", "rate", "price"),
    [(1_000_000, 1_000_000, 1_000_000), (1, 1_000_000, 1), (1, 1, 1), (1_000_001, 1, 2), (5, 0, 0)],
)
def test_begun_microcredits_count_whole(pixels: int, rate: int, price: int) -> None:
    assert price_microcredits(pixels, rate) == price
