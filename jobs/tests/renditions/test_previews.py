"""Small views of any picture that is let in: upright, with its alpha, and without what a camera noted."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage
from PIL import Image, ImageCms, ImageDraw

from conftest import World
from jobs.models import Job
from jobs.renditions import previews
from jobs.renditions.decode_limit import DecodeLimit
from jobs.renditions.previews import Side, Size, preview
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from pixian.imaging import delta_png
from pixian.protocol.errors import ServerFailed
from pixian.tests.imaging.format_cases import PATCH, Patched, patched
from pixian.tests.imaging.odd_pictures import ODD, PLAIN
from pixian.tests.imaging.orientation_cases import turned, turned_tiffs
from pixian.tests.imaging.tiff_cases import tiffs

RED, BLUE = (200, 30, 30), (30, 30, 200)


def encoded(image: Image.Image, kind: str, **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def halves(width: int = 800, height: int = 600) -> Image.Image:
    """Return a picture that is red on the left and blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    ImageDraw.Draw(image).rectangle((width // 2, 0, width, height), BLUE)
    return image


def shown(job: Job, side: Side = Side.BEFORE, size: Size = Size.TILE) -> Image.Image:
    with default_storage.open(preview(job, side, size)) as file:
        image = Image.open(io.BytesIO(file.read()))
    assert image.format == "WEBP"
    image.load()
    return image


def like(pixel: Any, colour: tuple[int, ...], by: int = 20) -> bool:
    """Return True if WebP's loss explains the difference."""
    return all(abs(one - other) <= by for one, other in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    ("size", "before", "after"),
    [
        (Size.TILE, (800, 600), (320, 240)),
        (Size.PAGE, (800, 600), (800, 600)),
        (Size.PAGE, (2000, 1000), (1600, 800)),
        (Size.TILE, (200, 100), (200, 100)),
        (Size.TILE, (10, 4000), (1, 320)),
        (Size.TILE, (1, 1), (1, 1)),
    ],
)
def test_a_picture_is_shrunk_in_its_shape(
    world: World, size: Size, before: tuple[int, int], after: tuple[int, int]
) -> None:
    job = world.job(encoded(halves(*before), "PNG"))
    assert shown(job, size=size).size == after


def test_the_colours_stay_where_they_are(world: World) -> None:
    image = shown(world.job(encoded(halves(), "JPEG", quality=95)))
    assert like(image.getpixel((40, 120)), RED)
    assert like(image.getpixel((280, 120)), BLUE)


def with_notes() -> bytes:
    """Return a JPEG as a phone writes it: held sideways, with a place and a maker."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Secret Camera"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><exif:GPSLatitude>48,51.5N</exif:GPSLatitude></x:xmpmeta>'
    return encoded(halves(), "JPEG", exif=exif, xmp=xmp, quality=95, comment=b"at home")


@pytest.mark.parametrize("size", Size)
def test_a_picture_held_on_its_side_is_put_upright(world: World, size: Size) -> None:
    job = world.job(with_notes())
    assert (job.width, job.height) == (600, 800)
    image = shown(job, size=size)
    assert image.height > image.width
    assert image.getexif().get(0x0112, 1) == 1
    assert like(image.getpixel((image.width // 2, image.height // 8)), RED)
    assert like(image.getpixel((image.width // 2, image.height * 7 // 8)), BLUE)


@pytest.mark.parametrize("size", Size)
def test_what_the_camera_noted_stays_out(world: World, size: Size) -> None:
    job = world.job(with_notes())
    with default_storage.open(preview(job, Side.BEFORE, size)) as file:
        content = file.read()
    image = Image.open(io.BytesIO(content))
    assert not image.getexif()
    assert not {"exif", "xmp", "comment"} & set(image.info)
    for secret in (b"EXIF", b"XMP ", b"Secret Camera", b"GPS", b"at home"):
        assert secret not in content


@pytest.mark.parametrize("size", Size)
def test_a_cut_out_keeps_its_alpha(world: World, server: Server, size: Size) -> None:
    world.job()
    cutout = halves().convert("RGBA")
    cutout.paste((0, 0, 0, 0), (0, 0, 400, 600))
    cutout.paste((30, 30, 200, 128), (400, 300, 800, 600))
    server.script.append(wire.answer(encoded(cutout, "PNG")))
    job, _ = run(server)

    image = shown(job, Side.AFTER, size)
    assert image.mode == "RGBA"
    right, upper, lower = image.width * 3 // 4, image.height // 4, image.height * 3 // 4
    assert image.getpixel((image.width // 4, upper))[3] == 0  # type: ignore[index]
    assert like(image.getpixel((right, upper)), (*BLUE, 255))
    assert like(image.getpixel((right, lower)), (*BLUE, 128))


@pytest.mark.parametrize(("cap", "size"), [("", (800, 600)), ("120000", (400, 300))])
def test_a_delta_is_shown_as_what_it_makes_of_its_source(
    world: World, server: Server, cap: str, size: tuple[int, int]
) -> None:
    job = world.job(with_notes())
    job.options = {"output.format": "delta_png", "max_pixels": cap}
    job.save()
    upright = halves().rotate(-90, expand=True).resize((size[1], size[0]))
    cut_out = np.array(upright.convert("RGBA"))
    cut_out[: size[0] // 2] = 0
    server.script.append(wire.answer(delta_png.encode(np.array(upright), cut_out)))
    job, _ = run(server)

    image = shown(job, Side.AFTER)
    middle, upper, lower = image.width // 2, image.height // 4, image.height * 3 // 4
    assert image.getpixel((middle, upper))[3] == 0  # type: ignore[index]
    assert like(image.getpixel((middle, lower)), (*BLUE, 255))
    assert job.keeps_frame
    assert job.result_name == "photo-cutout.png"


def test_a_delta_that_does_not_fit_is_shown_as_it_is(world: World, server: Server) -> None:
    job = world.job()
    job.options = {"output.format": "delta_png"}
    job.save()
    server.script.append(wire.answer(wire.picture("green")))
    job, _ = run(server)
    assert like(shown(job, Side.AFTER).getpixel((1, 1)), (0, 128, 0))


def sixteen_bits(level: int) -> Image.Image:
    return Image.new("I;16", (800, 600), level)


SOURCES: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "TIFF": (encoded(Image.new("RGB", (800, 600), RED), "TIFF"), RED),
    "compressed TIFF": (encoded(Image.new("RGB", (800, 600), RED), "TIFF", compression="tiff_lzw"), RED),
    "BMP": (encoded(Image.new("RGB", (800, 600), RED), "BMP"), RED),
    "GIF": (encoded(Image.new("RGB", (800, 600), RED), "GIF"), RED),
    "WebP": (encoded(Image.new("RGB", (800, 600), RED), "WEBP"), RED),
    "palette": (encoded(Image.new("RGB", (800, 600), RED).quantize(4), "PNG"), RED),
    "grey": (encoded(Image.new("L", (800, 600), 128), "PNG"), (128, 128, 128)),
    "black and white": (encoded(Image.new("1", (800, 600), 1), "PNG"), (255, 255, 255)),
    "CMYK JPEG": (encoded(Image.new("CMYK", (800, 600), (0, 200, 200, 0)), "JPEG"), (255, 55, 55)),
    "CMYK TIFF": (encoded(Image.new("CMYK", (800, 600), (0, 200, 200, 0)), "TIFF"), (255, 55, 55)),
    "16-bit grey PNG": (encoded(sixteen_bits(0x8000), "PNG"), (128, 128, 128)),
    "16-bit grey TIFF": (encoded(sixteen_bits(0x4000), "TIFF"), (64, 64, 64)),
    "dark 16-bit PNG": (encoded(sixteen_bits(0x00FF), "PNG"), (0, 0, 0)),
}


@pytest.mark.parametrize(("source", "colour"), SOURCES.values(), ids=SOURCES)
def test_whatever_is_let_in_can_be_shown(world: World, source: bytes, colour: tuple[int, ...]) -> None:
    image = shown(world.job(source))
    assert image.size == (320, 240)
    assert like(image.convert("RGB").getpixel((160, 120)), colour)


def channels_swapped(profile: bytes) -> bytes:
    """Return an RGB profile that swaps red and blue."""
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def as_seen(image: Image.Image) -> Image.Image:
    """Return what a browser paints, with the file's profile applied."""
    if not image.info.get("icc_profile"):
        return image
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    painted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert painted
    return painted


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_colour_profile_is_heeded(world: World, kind: str) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = encoded(Image.new("RGB", (800, 600), RED), kind, icc_profile=channels_swapped(srgb))
    assert like(as_seen(Image.open(io.BytesIO(source))).getpixel((0, 0)), BLUE, by=60)
    assert like(as_seen(shown(world.job(source))).getpixel((160, 120)), BLUE, by=60)


DESCRIBED = [
    case for case in patched() if case.name.split(",")[0] in ("PNG", "CMYK JPEG", "grey JPEG", "BMP")
]


@pytest.mark.parametrize("case", [*DESCRIBED[::3], *list(tiffs())[::8]], ids=lambda case: case.name)
def test_a_small_view_has_the_colours_of_its_source(world: World, case: Patched) -> None:
    seen = as_seen(shown(world.job(case.content), size=Size.PAGE)).convert("RGBA")
    ours = [seen.getpixel((at * PATCH + PATCH // 2, PATCH // 2)) for at in range(4)]
    for one, meant in zip(ours, case.seen, strict=True):
        assert like(one, meant, by=45)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow looks for a density, too
def test_a_job_has_the_size_that_its_small_view_has(world: World) -> None:
    for case in [*list(turned())[::4], *list(turned_tiffs())[::4]]:
        job = world.job(case.content)
        assert shown(job, size=Size.PAGE).size == (job.width, job.height), case.name


def test_an_animation_shows_its_first_picture(world: World) -> None:
    frames = [Image.new("RGB", (80, 60), colour) for colour in (RED, BLUE)]
    job = world.job(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert like(shown(job).convert("RGB").getpixel((40, 30)), RED)


def test_a_palette_keeps_its_transparency(world: World) -> None:
    picture = Image.new("P", (80, 60), 0)
    job = world.job(encoded(picture, "PNG", transparency=0))
    assert shown(job).getpixel((40, 30))[3] == 0  # type: ignore[index]


def test_a_preview_is_made_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.job()
    name = preview(job, Side.BEFORE, Size.TILE)
    made = default_storage.get_modified_time(name)
    monkeypatch.setattr(previews, "_encode", None)
    time.sleep(0.02)
    assert preview(job, Side.BEFORE, Size.TILE) == name
    assert default_storage.get_modified_time(name) == made


def test_a_deleted_preview_is_made_again(world: World) -> None:
    job = world.job()
    name = preview(job, Side.BEFORE, Size.TILE)
    default_storage.delete(name)
    assert preview(job, Side.BEFORE, Size.TILE) == name
    assert default_storage.exists(name)


def test_each_side_and_size_is_a_file_of_its_own(world: World, server: Server) -> None:
    world.job()
    server.script.append(wire.answer(encoded(halves().convert("RGBA"), "PNG")))
    job, _ = run(server)
    assert len({preview(job, side, size) for side in Side for size in Size}) == 4


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "name", ["wrong checksum of pixels", "JPEG without its end", "EXIF that is cut off, in WebP"]
)
def test_what_was_taken_is_shown(world: World, name: str) -> None:
    plain, make = ODD[name]
    one, other = (np.asarray(shown(world.job(content))) for content in (make(), PLAIN[plain]))
    assert np.array_equal(one, other)


def test_while_a_team_decodes_all_that_it_may_none_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = DecodeLimit(total=100, share=100, wait=0)
    monkeypatch.setattr(previews, "DECODING", room)
    job = world.job(encoded(halves(), "PNG"))
    with room.reserve(job.team_id, 100), pytest.raises(ServerFailed):
        preview(job, Side.BEFORE, Size.TILE)
    assert preview(job, Side.BEFORE, Size.TILE)


class Reserved(DecodeLimit):
    """Keeps what was reserved, by the number of bytes per pixel of an 800 × 600 picture."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[float] = []

    @contextmanager
    def reserve(self, team: int, size: int, *, patiently: bool = False) -> Iterator[None]:
        self.sizes.append(size / (800 * 600))
        with super().reserve(team, size, patiently=patiently):
            yield


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> Reserved:
    room = Reserved()
    monkeypatch.setattr(previews, "DECODING", room)
    return room


ON_ITS_SIDE = Image.Exif()
ON_ITS_SIDE[0x0112] = 6
MEMORY: dict[str, tuple[bytes, float]] = {
    "JPEG, drafted at half its size": (encoded(halves(1600, 1200), "JPEG"), 10),
    "progressive JPEG": (encoded(halves(1600, 1200), "JPEG", progressive=True), 4 * 6 + 4),
    "PNG": (encoded(halves(), "PNG"), 10),
    "PNG that may be transparent": (encoded(halves().convert("RGBA"), "PNG"), 14),
    "PNG on its side": (encoded(halves(), "PNG", exif=ON_ITS_SIDE), 14),
    "WebP": (encoded(halves(), "WEBP"), 16),
}


@pytest.mark.parametrize(("content", "per_pixel"), MEMORY.values(), ids=MEMORY)
def test_memory_is_reserved_for_the_costlier_of_reading_and_shrinking(
    world: World, reserved: Reserved, content: bytes, per_pixel: float
) -> None:
    preview(world.job(content), Side.BEFORE, Size.TILE)
    assert reserved.sizes == [per_pixel]


def test_memory_is_reserved_for_a_delta_and_its_source(
    world: World, server: Server, reserved: Reserved
) -> None:
    job = world.job(encoded(halves(), "PNG"))
    job.options = {"output.format": "delta_png"}
    job.save()
    cut_out = np.array(halves().convert("RGBA"))
    server.script.append(wire.answer(delta_png.encode(np.array(halves()), cut_out)))
    job, _ = run(server)
    preview(job, Side.AFTER, Size.TILE)
    assert reserved.sizes == [previews.MERGED_BYTES]


def test_memory_is_reserved_for_a_result_that_is_larger_than_its_source(
    world: World, server: Server, reserved: Reserved
) -> None:
    world.job(encoded(halves(80, 60), "PNG"))
    server.script.append(wire.answer(encoded(halves().convert("RGBA"), "PNG")))
    job, _ = run(server)
    preview(job, Side.AFTER, Size.TILE)
    assert reserved.sizes[-1] == 14  # after it was tried as a delta
