"""A picture made from a master equals what the engine sends as an ordinary PNG, pixel by pixel."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from conftest import PHOTOS, ROOT, World
from engine.models import catalog
from engine.models.spec import Model
from engine.pipeline import inference
from engine.pipeline.cutout import BackgroundRemover
from engine.pipeline.guided_filter import Bytes, Floats
from engine.pipeline.matting import Matting
from jobs.intake.forms import master_options
from jobs.models import Job
from jobs.renditions import render
from jobs.renditions.style import PLAIN
from jobs.tests import upstream as wire
from jobs.tests.upstream import run, serving
from pixian.imaging import decode
from pixian.protocol.options import Options
from pixian.tests.imaging.pictures import app, encoded, exif, icc_segments, rgb_icc, with_segments

PHOTO = Image.open(PHOTOS / "chelsea.jpg").convert("RGB")


def _faint() -> Image.Image:
    """Return the photo with an alpha of its own, from left to right."""
    image = PHOTO.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
    return image


def _sixteen_bit(channels: Callable[[np.ndarray], np.ndarray]) -> bytes:
    levels = np.asarray(PHOTO).astype(np.uint16) * 257
    levels += np.random.default_rng(0).integers(0, 256, levels.shape, np.uint16) * (levels < 65000)
    done, content = cv2.imencode(".png", channels(levels))
    assert done
    return content.tobytes()


JPEG = encoded(PHOTO, "JPEG", quality=90)
SOURCES = {
    "JPEG": JPEG,
    # Mirrored, upside down, on its side and mirrored on its side.
    **{f"JPEG, orientation {n}": with_segments(JPEG, app(1, b"Exif\0\0" + exif(n))) for n in (2, 3, 6, 7)},
    "JPEG, grey": encoded(PHOTO.convert("L"), "JPEG"),
    "JPEG, CMYK": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "JPEG, other RGB": with_segments(JPEG, *icc_segments(rgb_icc())),
    "PNG": encoded(PHOTO, "PNG"),
    "PNG, alpha": encoded(_faint(), "PNG"),
    "PNG, palette": encoded(PHOTO.quantize(200), "PNG"),
    "PNG, palette with transparency": encoded(PHOTO.quantize(200), "PNG", transparency=7),
    "PNG, grey and alpha": encoded(_faint().convert("LA"), "PNG"),
    "PNG, 16-bit grey": _sixteen_bit(lambda levels: levels[..., 0]),
    "PNG, 16-bit": _sixteen_bit(lambda levels: levels[..., ::-1]),
    "GIF": encoded(PHOTO.quantize(200), "GIF"),
    "GIF, transparency": encoded(PHOTO.quantize(200), "GIF", transparency=7),
    "TIFF": encoded(PHOTO, "TIFF", compression="tiff_lzw"),
    "TIFF, CMYK": encoded(PHOTO.convert("CMYK"), "TIFF"),
    "WebP": encoded(PHOTO, "WEBP", quality=80),
    "WebP, alpha": encoded(_faint(), "WEBP", lossless=True),
    "BMP": encoded(PHOTO, "BMP"),
    "BMP, palette": encoded(PHOTO.quantize(200), "BMP"),
}


class OnceEach(Matting):
    """Asks the network once about the same pixels, which is most of the work; all else is done anew."""

    def __init__(self, model: Model, runtime: inference.Runtime) -> None:
        super().__init__(model, runtime)
        self._last: tuple[bytes, Floats | None] = (b"", None)

    def mask(self, picture: Bytes) -> Floats | None:
        pixels = b"%d" % picture.shape[1] + picture.tobytes()
        if self._last[0] != pixels:
            self._last = pixels, super().mask(picture)
        mask = self._last[1]
        return None if mask is None else mask.copy()


@pytest.fixture(scope="module")
def engine() -> BackgroundRemover:
    fast = catalog.BUILT_IN["fast"]
    return BackgroundRemover(OnceEach(fast, inference.load(fast.path(ROOT / "models"))), 1_000_000, 60)


@pytest.mark.parametrize("name", SOURCES)
def test_a_plain_png_from_the_master_is_the_ordinary_one(
    world: World, engine: BackgroundRemover, name: str
) -> None:
    source = SOURCES[name]
    job = world.job(source)
    assert job.options == {"output.format": "delta_png"}
    master = engine.cut_out(io.BytesIO(source), Options.parse(job.options)).content
    with serving() as server:
        server.script.append(wire.answer(master))
        row = render.make(run(server)[0], PLAIN)
    ordinary = Image.open(io.BytesIO(engine.cut_out(io.BytesIO(source), Options()).content))
    with row.file.open() as file:
        plain = Image.open(io.BytesIO(file.read()))
    assert plain.info.get("icc_profile") == ordinary.info.get("icc_profile")
    ours, theirs = np.asarray(plain), np.asarray(ordinary)
    np.testing.assert_array_equal(ours[..., 3], theirs[..., 3])
    visible = theirs[..., 3] > 0
    assert visible.any()
    np.testing.assert_array_equal(ours[visible], theirs[visible])


@pytest.mark.parametrize(("size", "is_delta"), [((5000, 5000), True), ((5001, 5000), False), ((1, 1), True)])
def test_a_picture_that_the_upstream_shrinks_comes_whole(size: tuple[int, int], is_delta: bool) -> None:
    file = io.BytesIO()
    Image.new("1", size).save(file, "PNG")
    _image, header = decode.open_picture(file)
    options = master_options(header)
    assert options == ({"output.format": "delta_png"} if is_delta else {})
    job = Job(options=options, width=size[0], height=size[1])
    assert (job.has_delta_master, job.keeps_frame) == (is_delta, True)
