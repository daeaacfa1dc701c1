"""Nothing invalid passes, and every refusal says what is wrong."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from PIL import Image

from conftest import small_png
from jobs.intake import forms
from jobs.intake.forms import UploadForm, UploadRefusedError, check_picture
from jobs.intake.submit import Upload
from jobs.renditions.decode_limit import DecodeLimit
from pixian.imaging import decode
from pixian.protocol import file_names
from pixian.tests.imaging.attacks import ATTACKS
from pixian.tests.imaging.odd_pictures import CUT, ODD
from pixian.tests.imaging.test_decode import bomb


@contextmanager
def received(content: bytes, name: str = "photo.jpg") -> Iterator[TemporaryUploadedFile]:
    """Yield a file as Django's upload handler leaves it."""
    with TemporaryUploadedFile(name, "image/jpeg", len(content), None) as file:
        file.write(content)
        yield file


def upload_of(content: bytes, name: str = "photo.jpg", **ids: object) -> Upload:
    """Return a valid upload, its file closed."""
    with received(content, name) as file:
        return UploadForm(ids).upload(file, team_id=0)


def refusal(content: bytes, name: str = "photo.jpg", **ids: object) -> tuple[int, str]:
    """Return status and message of an upload that isn't valid."""
    with pytest.raises(UploadRefusedError) as caught:
        upload_of(content, name, **ids)
    return caught.value.status, caught.value.message


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((200, 150), 80).save(file, kind)
    return file.getvalue()


def test_a_whole_photo_passes(photo: Callable[[str], bytes]) -> None:
    request_id, batch = uuid4(), uuid4()
    upload = upload_of(photo("chelsea"), "Chloé.jpg", request_id=request_id, batch=batch)
    assert upload.file.size == len(photo("chelsea"))
    assert (upload.header.format, upload.header.width, upload.header.height) == ("JPEG", 451, 300)
    assert (upload.name, upload.request_id, upload.batch) == ("Chloé.jpg", request_id, batch)


def test_a_number_that_is_left_out_is_made() -> None:
    with received(small_png(9, 9)) as file:
        form = UploadForm({})
        one, other = form.upload(file, team_id=0), form.upload(file, team_id=0)
    assert isinstance(one.request_id, UUID)
    assert one.request_id != other.request_id
    assert one.batch is other.batch is None


def test_the_content_decides_and_not_the_name() -> None:
    assert upload_of(small_png(9, 9), "really.txt").header.content_type == "image/png"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_every_format_that_is_offered_passes(kind: str) -> None:
    assert upload_of(encoded(kind)).header.format == kind


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"") == (400, "The file is empty.")


UNREADABLE = {
    "a text": b"Dear picture, " * 100,
    "a PDF": b"%PDF-1.7\n" * 100,
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a page": b"<!DOCTYPE html><script>alert(1)</script>",
    "zeros": bytes(10_000),
    "half a JPEG": encoded("JPEG")[:5000],
    "half a PNG": encoded("PNG")[:5000],
    "a header alone": encoded("PNG")[:40],
    "a missing end": encoded("JPEG")[:-300],
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_whole_picture_is_refused(content: bytes) -> None:
    status, message = refusal(content)
    assert status == 400
    assert "t a picture we can read" in message


def test_a_header_that_lies_is_refused_before_a_pixel_is_decoded() -> None:
    status, message = refusal(bomb(30_000, 30_000))
    assert status == 413
    assert "32 megapixels" in message


def test_a_header_that_promises_more_than_there_is_is_refused() -> None:
    status, _ = refusal(bomb(5000, 5000))
    assert status == 400


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MAX_UPLOAD_BYTES", 2048)
    assert refusal(bytes(2049))[0] == 413
    status, message = refusal(bytes(5120))
    assert status == 413
    assert "5.0\xa0KB" in message
    assert "2.0\xa0KB" in message


def test_as_many_bytes_as_allowed_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded("BMP")
    monkeypatch.setattr(forms, "MAX_UPLOAD_BYTES", len(content))
    assert upload_of(content).header.format == "BMP"


@pytest.mark.parametrize(("limit", "passes"), [(30_000, True), (29_999, False)])
def test_the_number_of_pixels_is_bounded(monkeypatch: pytest.MonkeyPatch, limit: int, passes: bool) -> None:
    monkeypatch.setattr(decode, "MAX_UPLOAD_PIXELS", limit)
    if passes:
        assert upload_of(encoded("PNG")).header.pixels == limit
    else:
        assert refusal(encoded("PNG"))[0] == 413


@pytest.mark.parametrize("field", ["request_id", "batch"])
def test_ids_are_uuids(field: str) -> None:
    status, message = refusal(small_png(9, 9), **{field: "1; DROP TABLE"})
    assert (status, bool(message)) == (400, True)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("photo.jpg", "photo.jpg"),
        ("été à la mer.jpg", "été à la mer.jpg"),
        ("写真.png", "写真.png"),
        ("🐈.png", "🐈.png"),
        ("a\x00b\nc\r\td\x7f.jpg", "abcd.jpg"),
        ("gpj.\u202ephoto\u200b.jpg", "gpj.photo.jpg"),
        ("  padded.jpg  ", "padded.jpg"),
        ("no extension", "no extension"),
        ("", ""),
    ],
)
def test_a_name_is_kept_as_far_as_it_can_be_printed(sent: str, kept: str) -> None:
    assert file_names.clean(sent) == kept


@pytest.mark.parametrize(
    "name", ["n" * 300, "n" * 300 + ".jpg", "n." + "e" * 300, "é" * 300 + ".jpeg", "." * 300]
)
def test_a_long_name_fits_its_column_and_keeps_its_ending(name: str) -> None:
    kept = file_names.clean(name)
    assert len(kept) == 255
    if name.endswith("eg"):
        assert kept.endswith("é.jpeg")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\boot.ini", "a/b/c.png", "x\x00/y"]
)
def test_a_name_is_no_path(name: str) -> None:
    """Django takes the last part before the form is asked."""
    assert not {"/", "\\"} & set(upload_of(small_png(9, 9), name).name)


@pytest.mark.parametrize(
    ("sent", "kept"), [(" ", "picture"), ("55%22 screen.jpg", '55" screen.jpg'), ("C:photo.jpg", "photo.jpg")]
)
def test_a_name_is_never_blank_nor_escaped(sent: str, kept: str) -> None:
    assert upload_of(small_png(9, 9), sent).name == kept


def test_the_file_is_judged_from_its_beginning() -> None:
    with TemporaryUploadedFile("photo.png", "image/png", 0, None) as file:
        file.write(small_png(9, 9))
        file.size = file.tell()
        file.seek(20)
        assert check_picture(file, team_id=0).format == "PNG"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", ODD)
def test_metadata_never_costs_a_picture(name: str) -> None:
    _plain, make = ODD[name]
    assert upload_of(make())


@pytest.mark.parametrize("make", CUT.values(), ids=CUT)
def test_half_a_picture_is_not_taken(make: Callable[[], bytes]) -> None:
    status, message = refusal(make())
    assert (status, message.startswith("This isn't a picture we can read")) == (400, True)


def test_a_picture_that_takes_too_long_is_refused_with_what_to_do() -> None:
    status, message = refusal(ATTACKS["20,000 scans of 1 MP"][0]())
    assert status == 400
    assert "again with an image editor" in message


def test_while_the_team_decodes_all_that_it_may_a_picture_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    room = DecodeLimit(total=100, share=90, wait=0)
    monkeypatch.setattr(forms, "DECODING", room)
    with room.reserve(0, 90):
        status, message = refusal(small_png(9, 9))
    assert (status, "again in a minute" in message) == (503, True)
