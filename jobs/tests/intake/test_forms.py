"""Nothing invalid passes, and every refusal says what is wrong."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils.datastructures import MultiValueDict
from PIL import Image

from conftest import small_png
from jobs.intake import forms
from jobs.intake.forms import UploadForm
from jobs.renditions.decode_limit import DecodeLimit
from pixian.imaging import decode
from pixian.protocol import file_names
from pixian.tests.imaging.attacks import ATTACKS
from pixian.tests.imaging.odd_pictures import CUT, ODD
from pixian.tests.imaging.test_decode import bomb


@contextmanager
def form_with(content: bytes | None, name: str = "photo.jpg", **data: object) -> Iterator[UploadForm]:
    """A form with the file as Django's upload handler leaves it."""
    if content is None:
        yield UploadForm(data)
        return
    with TemporaryUploadedFile(name, "image/jpeg", len(content), None) as file:
        file.write(content)
        yield UploadForm(data, MultiValueDict({"image": [file]}))


def refusal(content: bytes | None, name: str = "photo.jpg", **data: object) -> tuple[int, str]:
    """Status and message of an upload that isn't valid."""
    with form_with(content, name, **data) as form:
        assert not form.is_valid()
        return form.status, form.message


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((200, 150), 80).save(file, kind)
    return file.getvalue()


def test_a_whole_photo_passes(photo: Callable[[str], bytes]) -> None:
    request_id, batch = uuid4(), uuid4()
    with form_with(photo("chelsea"), "Chloé.jpg", request_id=request_id, batch=batch) as form:
        assert form.is_valid(), form.errors
        upload = form.upload()
        assert upload.file.size == len(photo("chelsea"))
    assert (upload.header.format, upload.header.width, upload.header.height) == ("JPEG", 451, 300)
    assert (upload.name, upload.request_id, upload.batch) == ("Chloé.jpg", request_id, batch)


def test_ids_that_are_left_out_are_made() -> None:
    with form_with(small_png(9, 9)) as form:
        assert form.is_valid()
        one, other = form.upload(), form.upload()
    ids = {one.request_id, one.batch, other.request_id, other.batch}
    assert len(ids) == 4
    assert all(isinstance(made, UUID) for made in ids)


def test_the_content_decides_and_not_the_name() -> None:
    with form_with(small_png(9, 9), "really.txt") as form:
        assert form.is_valid()
        assert form.upload().header.content_type == "image/png"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_every_format_that_is_offered_passes(kind: str) -> None:
    with form_with(encoded(kind)) as form:
        assert form.is_valid(), form.errors
        assert form.upload().header.format == kind


def test_no_file_is_asked_for() -> None:
    assert refusal(None) == (400, "Choose a picture first.")


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
    with form_with(content) as form:
        assert form.is_valid()


@pytest.mark.parametrize(("limit", "passes"), [(30_000, True), (29_999, False)])
def test_the_number_of_pixels_is_bounded(monkeypatch: pytest.MonkeyPatch, limit: int, passes: bool) -> None:
    monkeypatch.setattr(decode, "MAX_UPLOAD_PIXELS", limit)
    with form_with(encoded("PNG")) as form:
        assert form.is_valid() == passes
        assert passes or form.status == 413


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
    with form_with(small_png(9, 9), name) as form:
        assert form.is_valid()
        assert not {"/", "\\"} & set(form.upload().name)


@pytest.mark.parametrize(
    ("sent", "kept"), [(" ", "picture"), ("55%22 screen.jpg", '55" screen.jpg'), ("C:photo.jpg", "photo.jpg")]
)
def test_a_name_is_never_blank_nor_escaped(sent: str, kept: str) -> None:
    with form_with(small_png(9, 9), sent) as form:
        assert form.is_valid()
        assert form.upload().name == kept


def test_the_file_is_judged_from_its_beginning() -> None:
    with TemporaryUploadedFile("photo.png", "image/png", 0, None) as file:
        file.write(small_png(9, 9))
        file.size = file.tell()
        file.seek(20)
        assert UploadForm({}, MultiValueDict({"image": [file]})).is_valid()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", ODD)
def test_metadata_never_costs_a_picture(name: str) -> None:
    _plain, make = ODD[name]
    with form_with(make()) as form:
        assert form.is_valid(), form.errors


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
    with form_with(small_png(9, 9)) as form, room.reserve(0, 90):
        assert not form.is_valid()
        assert (form.status, "again in a minute" in form.message) == (503, True)
