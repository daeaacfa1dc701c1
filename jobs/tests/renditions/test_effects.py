"""Renditions in every style, and E17: nothing that a camera noted is in any of them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from PIL import Image, ImageCms

from conftest import World
from jobs.intake.forms import check_picture
from jobs.models import Backdrop, Job, Rendition
from jobs.renditions import backdrops, render
from jobs.renditions.decode_limit import DecodeLimit
from jobs.renditions.previews import Size
from jobs.renditions.render import RenditionError, make, make_each
from jobs.renditions.style import PLAIN, Format, Style
from jobs.renditions.styled import styled_preview
from jobs.tests import upstream as wire
from jobs.tests.renditions.test_render import cut, done, encoded, photo, pixels
from jobs.tests.upstream import Server, run
from pixian.imaging import delta_png
from pixian.protocol.errors import ServerFailed

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Red and green swapped: a profile whose loss anyone would see.
SWAPPED = SRGB.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
SECRETS = (
    *(b"Exif", b"GPS", b"http://ns.adobe.com", b"xmpmeta", b"SN-12345", b"Secret Camera", b"at home"),
    *(b"owner@example.org", b"THUMBNAIL"),
)


def of_a_phone(width: int = 80, height: int = 60) -> bytes:
    """Return a JPEG held sideways, with a place, a serial number, an owner, a thumbnail and a profile."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Secret Camera"
    details = exif.get_ifd(0x8769)
    details[0xA431] = "SN-12345"
    details[0xA430] = "owner@example.org"
    details[0x927C] = b"a maker's note with a THUMBNAIL"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    place = b"<exif:GPSLatitude>48,51.5N</exif:GPSLatitude>"
    xmp = b'<x:xmpmeta xmlns:x="http://ns.adobe.com/xap/1.0/">' + place + b"</x:xmpmeta>"
    return encoded(
        photo(width, height), "JPEG", exif=exif, xmp=xmp, comment=b"at home", icc_profile=SWAPPED, quality=95
    )


def sideways(world: World, server: Server) -> Job:
    """Return the job of such a photo; its master is a delta over the upright picture."""
    source = of_a_phone()
    upright = Image.open(io.BytesIO(source)).convert("RGB").transpose(Image.Transpose.ROTATE_270)
    delta = delta_png.encode(np.array(upright), np.array(cut(upright)), SWAPPED)
    job = world.job(source)
    job.options = {"output.format": "delta_png"}
    job.save()
    server.script.append(wire.answer(delta))
    return run(server)[0]


def content(row: Rendition) -> bytes:
    with row.file.open() as file:
        return bytes(file.read())


def backdrop(world: World, colour: tuple[int, int, int] = (10, 200, 30), kind: str = "PNG") -> Backdrop:
    picture = encoded(Image.new("RGB", (300, 200), colour), kind)
    with TemporaryUploadedFile("wall", None, len(picture), None) as file:
        file.write(picture)
        return backdrops.store(world.team, world.alice, file, check_picture(file, world.team.pk), "wall")


def test_memory_is_reserved_for_the_small_view_of_a_backdrop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, sizes = backdrop(world, kind="WEBP"), []

    @contextmanager
    def reserve(_team: int, size: int) -> Iterator[None]:
        sizes.append(size)
        yield

    monkeypatch.setattr("jobs.renditions.previews.DECODING.reserve", reserve)
    assert Image.open(io.BytesIO(backdrops.thumbnail(wall, 30))).size == (30, 20)
    assert sizes == [backdrops.BYTES_PER_PIXEL * 300 * 200] == [16 * 300 * 200]


STYLES: dict[str, dict[str, Any]] = {
    "plain": {},
    "crop": {"crop": True, "margin": "10%"},
    "white JPEG": {"format": "jpeg"},
    "colour": {"background": "color", "color": "#203040", "size": "200 100", "margin": "5px"},
    "blur": {"background": "blur", "blur": 30},
    "soft": {"shadow": "soft", "format": "webp"},
    "contact": {"shadow": "contact", "background": "color", "size": "120 120", "crop": True, "margin": "15%"},
    "delta": {"format": "delta_png"},
}


@pytest.mark.parametrize("mapping", STYLES.values(), ids=STYLES)
def test_e17_only_pixels_and_profile_of_a_photo_are_in_a_rendition(
    world: World, server: Server, mapping: dict[str, Any]
) -> None:
    job = sideways(world, server)
    made = content(make(job, Style.parse(mapping)))
    assert [secret for secret in SECRETS if secret in made] == []
    image = Image.open(io.BytesIO(made))
    assert not image.getexif()
    assert set(image.info) <= {"icc_profile", "jfif", "jfif_version", "jfif_unit", "jfif_density"} | {
        "loop", "background", "timestamp", "duration",  # what Pillow says of any WebP
    }  # fmt: skip
    assert image.info["icc_profile"] == SWAPPED
    shown = styled_preview(job, Style.parse(mapping), Size.PAGE)
    assert [secret for secret in SECRETS if secret in shown] == []


def test_e17_the_control_finds_it_all_in_the_photo() -> None:
    photo = of_a_phone()
    assert [secret for secret in SECRETS if secret not in photo] == []


def test_e17_the_picture_is_upright(world: World, server: Server) -> None:
    job = sideways(world, server)
    assert pixels(make(job, PLAIN)).size == (60, 80)
    assert pixels(make(job, Style.parse({"format": "jpeg"}))).size == (60, 80)


@pytest.mark.parametrize("mapping", STYLES.values(), ids=STYLES)
def test_the_same_style_makes_the_same_bytes(world: World, server: Server, mapping: dict[str, Any]) -> None:
    job, style = done(world, server), Style.parse(mapping)
    first = make(job, style)
    before = content(first)
    Rendition.objects.all().delete()
    default_storage.delete(str(first.file))
    assert content(make(job, style)) == before


def test_each_format_is_what_it_says(world: World, server: Server) -> None:
    job = done(world, server)
    for kind, ending in zip(Format, ("png", "jpg", "webp", "png"), strict=True):
        row = make(job, Style(format=kind))
        assert (str(row.file).rpartition(".")[2], row.content_type) == (ending, kind.content_type)
        assert Image.MIME[str(pixels(row).format)] == row.content_type


def test_a_jpeg_is_white_behind(world: World, server: Server) -> None:
    image = pixels(make(done(world, server), Style(format=Format.JPEG)))
    assert (image.mode, image.getpixel((1, 1))) == ("RGB", (255, 255, 255))


def test_a_delta_is_the_masters_own_notation(world: World, server: Server) -> None:
    job = done(world, server)
    made = pixels(make(job, Style(format=Format.DELTA_PNG)))
    with job.result.open() as file:
        master = np.array(Image.open(io.BytesIO(file.read())))
    np.testing.assert_array_equal(np.array(made), master)


def test_a_cropped_result_has_no_delta(world: World, server: Server) -> None:
    job = done(world, server, result=encoded(cut(photo(30, 20))))
    with pytest.raises(RenditionError, match="full frame"):
        make(job, Style(format=Format.DELTA_PNG))


def test_a_teams_picture_lies_behind(world: World, server: Server) -> None:
    style = Style.parse({"background": "picture", "backdrop": backdrop(world).sha256})
    image = pixels(make(done(world, server), style))
    assert (image.mode, image.getpixel((1, 1))) == ("RGB", (10, 200, 30))


def test_a_background_that_is_gone_is_said_and_the_others_are_made(world: World, server: Server) -> None:
    job, wall = done(world, server), backdrop(world)
    style = Style.parse({"background": "picture", "backdrop": wall.sha256})
    backdrops.delete(wall)
    outcomes = list(make_each(job, [style, PLAIN]))
    assert [error and error.message for _, error in outcomes] == [
        "The background picture was deleted. Choose another one for this style.",
        None,
    ]
    with pytest.raises(RenditionError):
        styled_preview(job, style, Size.TILE)
    assert list(Rendition.objects.values_list("style_sha256", flat=True)) == [PLAIN.sha256]


def test_another_teams_picture_is_none(world: World, server: Server) -> None:
    job = done(world, server)
    wall = backdrop(world)
    Backdrop.objects.update(team=world.charlie.memberships.get().team)
    with pytest.raises(RenditionError, match="was deleted"):
        make(job, Style.parse({"background": "picture", "backdrop": wall.sha256}))


def test_a_picture_is_kept_once(world: World) -> None:
    assert backdrop(world) == backdrop(world)
    assert Backdrop.objects.count() == 1


@pytest.mark.parametrize(
    "mapping", [{"margin": "9000px"}, {"format": "webp", "margin": "0 8200px"}, {"margin": "999999999px"}]
)
def test_one_that_would_be_too_large_is_refused(
    world: World, server: Server, mapping: dict[str, Any]
) -> None:
    job = done(world, server)
    with pytest.raises(RenditionError, match="too large"):
        make(job, Style.parse(mapping))


def test_a_busy_machine_asks_to_come_back(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = DecodeLimit(total=1000, share=1000, wait=0)
    monkeypatch.setattr(render, "DECODING", room)
    job = done(world, server)
    with room.reserve(job.team_id, 1000), pytest.raises(ServerFailed):
        make(job, PLAIN)


@pytest.mark.parametrize("mapping", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("size", Size)
def test_a_preview_has_the_shape_and_look_of_its_rendition(
    world: World, server: Server, mapping: dict[str, Any], size: Size
) -> None:
    job, style = done(world, server, encoded(photo(400, 300), "PNG")), Style.parse(mapping)
    small = Image.open(io.BytesIO(styled_preview(job, style, size)))
    if style.format is Format.DELTA_PNG:  # it is the notation of the plain one
        style = PLAIN
    whole = pixels(make(job, style))
    assert max(small.size) <= size.edge
    assert abs(small.width / small.height - whole.width / whole.height) < 0.03
    one, other = (np.array(image.convert("RGBA").resize((40, 40))).astype(int) for image in (small, whole))
    assert np.abs(one[..., 3] - other[..., 3]).mean() < 8
    assert (np.abs(one - other)[..., :3] * (other[..., 3:] > 250)).mean() < 8
