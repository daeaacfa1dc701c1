"""HEIC and AVIF become pictures that the upstream takes: upright, true, without a trace of where they were
taken; and what is broken or hostile is refused before it costs memory."""

import io
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.test import Client
from PIL import Image
from pytest_django import Settings

from accounts.ledger import operations as ledger
from conftest import PHOTOS, World
from jobs.audit.verify import run as verify
from jobs.intake import transcode
from jobs.intake.forms import UploadForm, UploadRefusedError
from jobs.intake.submit import submit
from jobs.models import BatchFile, Job
from jobs.storage import files
from jobs.tests import browser
from jobs.tests.intake.heif import (
    GPS,
    PROFILE,
    XMP,
    avif,
    heic,
    unturned,
    with_brand,
    with_extent,
)
from pixian.imaging import decode
from pixian.imaging.orientation import upright
from pixian.protocol.errors import Refused

Make = Callable[..., bytes]
MAKERS = pytest.mark.parametrize("make", [heic, avif])
PHOTO = Image.open(PHOTOS / "chelsea.jpg").convert("RGB").crop((120, 40, 376, 232))


def transcoded(content: bytes) -> Image.Image:
    """Return what the upstream would get."""
    result = transcode.transcode(io.BytesIO(content))
    assert result
    with result.file as file:
        file.seek(0)
        assert decode.check(io.BytesIO(file.read())) == result.header
        image = Image.open(file.temporary_file_path())
        image.load()
    assert (image.format, image.size) == (result.header.format, (result.header.width, result.header.height))
    return image


def difference(image: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of the pixels, of 255."""
    assert image.size == other.size
    pixels = [np.asarray(each.convert("RGB")).astype(int) for each in (image, other)]
    return float(np.abs(pixels[0] - pixels[1]).mean())


def stored(settings: Settings) -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def decibels(image: Image.Image, other: Image.Image) -> float:
    pixels = [np.asarray(each.convert("RGB")).astype(float) for each in (image, other)]
    return float(10 * np.log10(255**2 / ((pixels[0] - pixels[1]) ** 2).mean()))


@contextmanager
def received(content: bytes, name: str = "photo.heic") -> Iterator[TemporaryUploadedFile]:
    """Yield a file as Django receives it, which is closed after its request."""
    with TemporaryUploadedFile(name, "image/heic", len(content), None) as file:
        file.write(content)
        file.seek(0)
        yield file


def refusal(content: bytes) -> tuple[int, str]:
    with received(content) as file, pytest.raises(UploadRefusedError) as caught:
        UploadForm({}).upload(file, team_id=0)
    return caught.value.status, caught.value.message


@MAKERS
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright_and_true(make: Make, orientation: int) -> None:
    """Both ways of saying the orientation are in the file, and it is turned once."""
    image = transcoded(make(PHOTO, orientation))
    assert difference(image, upright(PHOTO, orientation)) < 2
    assert image.getexif().get(274) is None


def test_the_container_decides_and_not_exif() -> None:
    assert difference(transcoded(unturned(heic(PHOTO, 6))), PHOTO) < 2


@MAKERS
def test_nothing_is_lost_visibly(make: Make) -> None:
    """Compared with what the file itself decodes to: 40 dB and more can't be told apart by eye."""
    content = make(PHOTO)
    itself = transcode._open(content, make.__name__).decode().convert("RGB")
    image = transcoded(content)
    assert decibels(image, itself) > 40
    assert image.format == "JPEG"
    assert image.layer[0][1:3] == image.layer[1][1:3] == (1, 1)  # type: ignore[attr-defined]  # 4:4:4


@MAKERS
def test_its_profile_is_kept_and_nothing_else(make: Make) -> None:
    content = make(PHOTO, icc_profile=PROFILE, xmp=XMP)
    assert GPS in content
    result = transcode.transcode(io.BytesIO(content))
    assert result
    with result.file as file:
        file.seek(0)
        made = file.read()
    assert Image.open(io.BytesIO(made)).info["icc_profile"] == PROFILE
    assert not any(trace in made for trace in (GPS, b"secret-place", b"Exif\0"))


@MAKERS
def test_transparency_is_kept(make: Make) -> None:
    picture = PHOTO.copy()
    picture.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    image = transcoded(make(picture, icc_profile=PROFILE, xmp=XMP))
    assert (image.format, image.mode, image.info.get("icc_profile")) == ("PNG", "RGBA", PROFILE)
    alpha = [np.asarray(each.getchannel("A")).astype(int) for each in (image, picture)]
    assert np.abs(alpha[0] - alpha[1]).mean() < 2
    assert set(image.info) <= {"icc_profile"}


@MAKERS
def test_an_opaque_alpha_channel_is_no_transparency(make: Make) -> None:
    picture = PHOTO.copy()
    picture.putalpha(255)
    assert transcoded(make(picture)).format == "JPEG"


def test_ten_bits_become_eight() -> None:
    image = transcoded(heic(PHOTO, bits=10))
    assert (image.mode, difference(image, PHOTO) < 2) == ("RGB", True)


def test_grey_stays_grey() -> None:
    image = transcoded(heic(PHOTO.convert("L")))
    assert difference(image, PHOTO.convert("L")) < 2


@pytest.mark.parametrize("content", [b"", b"ftyp", b"\0\0\0\x18ftyp", b"\xff\xd8\xff", b"x" * 300])
def test_other_files_are_left_alone(content: bytes) -> None:
    assert transcode.transcode(io.BytesIO(content)) is None


def test_a_film_is_no_picture() -> None:
    content = b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + bytes(100)
    assert transcode.transcode(io.BytesIO(content)) is None
    assert refusal(content)[1].startswith("This isn't a picture we can read")


@MAKERS
def test_the_bytes_decide_and_not_the_name(make: Make) -> None:
    with received(make(PHOTO), "photo.jpg") as file, closing(UploadForm({}).upload(file, 0)) as sent:
        assert (sent.header.format, sent.original, sent.original_ending) == ("JPEG", file, make.__name__)


@MAKERS
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_half_a_picture_is_refused(make: Make, part: float) -> None:
    content = make(PHOTO)
    status, message = refusal(content[: int(len(content) * part)])
    assert (status, message.startswith("This isn't a picture we can read")) == (400, True)


@MAKERS
def test_a_broken_picture_is_refused_or_read(make: Make) -> None:
    """Any byte may be wrong; nothing but a refusal comes out."""
    content, random = make(PHOTO), np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(content)
        for at in random.integers(12, len(content), 8):
            broken[at] = random.integers(256)
        try:
            result = transcode.transcode(io.BytesIO(bytes(broken)))
        except Refused:
            continue
        if result:
            result.file.close()


@pytest.mark.parametrize("brand", sorted(transcode.SEQUENCE_BRANDS))
def test_a_sequence_is_refused_with_what_to_do(brand: bytes) -> None:
    status, message = refusal(with_brand(heic(PHOTO), brand))
    assert (status, "several pictures" in message) == (400, True)


def test_an_animation_is_refused() -> None:
    content = avif(PHOTO, save_all=True, append_images=[PHOTO.transpose(Image.Transpose.ROTATE_180)])
    assert "several pictures" in refusal(content)[1]
    assert "several pictures" in refusal(with_brand(content, b"avif"))[1]


@MAKERS
@pytest.mark.parametrize(("width", "height"), [(8000, 4001), (65_535, 65_535), (2**31, 2**31)])
def test_a_huge_picture_is_refused_before_it_is_decoded(
    make: Make, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcode._Opened, "decode", lambda _: pytest.fail("decoded"))
    status, message = refusal(with_extent(make(PHOTO), width, height))
    assert (status, "32 megapixels" in message or "can read" in message) in ((413, True), (400, True))


@pytest.mark.parametrize("size", [(65_504, 64), (64, 65_504)])
def test_a_side_longer_than_a_jpegs_is_refused_with_what_to_do(size: tuple[int, int]) -> None:
    """Though its pixels are few; the longest is taken."""
    status, message = refusal(heic(Image.new("RGB", size)))
    assert (status, "longer than 65,500 pixels. Crop or shrink it" in message) == (413, True)
    assert transcoded(heic(Image.new("RGB", (65_500, 64)))).size == (65_500, 64)


def test_memory_is_reserved_by_the_header() -> None:
    reserved: list[int] = []

    @contextmanager
    def room(size: int) -> Iterator[None]:
        reserved.append(size)
        yield

    result = transcode.transcode(io.BytesIO(heic(PHOTO)), room)
    assert result
    result.file.close()
    assert reserved == [256 * 192 * transcode.BYTES_PER_PIXEL[False]]


def test_what_becomes_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = heic(PHOTO)
    sizes = []
    for quality in (95, 90, 85):
        file = io.BytesIO()
        PHOTO.save(file, "JPEG", quality=quality, subsampling=0)
        sizes.append(file.tell())
    monkeypatch.setattr(transcode, "MAX_UPLOAD_BYTES", (sizes[0] + sizes[1]) // 2)
    result = transcode.transcode(io.BytesIO(content))
    assert result
    with result.file as made:
        assert (made.size or 0) < sizes[0]
    monkeypatch.setattr(transcode, "MAX_UPLOAD_BYTES", 1000)
    status, message = refusal(content)
    assert (status, "As a PNG or JPEG" in message) == (413, True)


def test_programs_get_the_contracts_formats_alone() -> None:
    for content in (heic(PHOTO), avif(PHOTO)):
        with pytest.raises(Refused):
            decode.open_picture(io.BytesIO(content))


@MAKERS
def test_a_phones_picture_is_taken_in_with_its_original(
    world: World, client: Client, settings: Settings, make: Make
) -> None:
    client.force_login(world.bob)
    content = make(PHOTO, 6)
    response = browser.upload(client, content, "IMG_0001.HEIC")
    assert (response.status_code, response.content) == (201, b"")
    job = Job.objects.get()
    assert (job.name, job.content_type, job.width, job.height) == ("IMG_0001.HEIC", "image/jpeg", 192, 256)
    folder = Path(job.source.path).parent
    assert sorted(path.name for path in folder.iterdir()) == [f"original.{make.__name__}", "source.jpeg"]
    with job.original.open() as original:
        assert original.read() == content
    with job.source.open() as source:
        assert (files.sha256(source), source.size) == (job.source_sha256, job.source_bytes)
    assert list(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir()) == []


def test_a_repeated_upload_is_one_job_with_one_original(world: World, client: Client) -> None:
    client.force_login(world.bob)
    ids: dict[str, Any] = {"request_id": uuid4(), "batch": uuid4()}
    content = heic(PHOTO)
    assert [browser.upload(client, content, **ids).status_code for _ in range(2)] == [201, 201]
    job = Job.objects.get()
    assert len(list(Path(job.source.path).parent.parent.rglob("*.*"))) == 2
    assert verify(quick=True).findings == []


def test_a_refused_hold_leaves_neither_file(world: World, settings: Settings) -> None:
    left = ledger.balances(world.team).available - 1
    ledger.adjust(world.team, -left, key="rest", actor=world.alice, memo="for the test")
    with received(heic(PHOTO)) as file, closing(UploadForm({}).upload(file, team_id=0)) as sent:
        assert list((Path(settings.MEDIA_ROOT) / ".spool").iterdir())
        with pytest.raises(ledger.InsufficientCreditsError):
            submit(world.team, world.bob, sent)
    assert stored(settings) == []


def test_a_disk_that_fills_between_the_two_files_keeps_neither(
    world: World, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, full = files.put, OSError(28, "No space left on device")

    def put_one(name: str, file: TemporaryUploadedFile) -> str:
        if "original" in name:
            raise full
        return put(name, file)

    monkeypatch.setattr(files, "put", put_one)
    client.force_login(world.bob)
    assert browser.upload(client, heic(PHOTO)).status_code == 507
    assert not Job.objects.exists()
    assert BatchFile.objects.missing().count() == 1
    assert stored(settings) == []


def test_a_full_disk_is_no_broken_picture(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> TemporaryUploadedFile:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transcode, "_stored", full)
    client.force_login(world.bob)
    assert browser.upload(client, heic(PHOTO)).status_code == 507
