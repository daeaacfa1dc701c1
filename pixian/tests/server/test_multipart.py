"""Forms read below any server: what the suite can't send, and that the mends are needed."""

import contextlib
import io
import tracemalloc
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import MultipartDecoder

from pixian.server import multipart
from pixian.server.multipart import Form, MalformedError, boundary_of

SJIS = 'form-data; name="image"; filename="表"'.encode("shift-jis")


def written(*parts: tuple[bytes, bytes]) -> bytes:
    lines = (b"--b\r\nContent-Disposition: " + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return b"".join(lines) + b"--b--\r\n"


def opened(**_: Any) -> IO[bytes]:
    return io.BytesIO()


def read(body: bytes, max_text: int = 1000) -> Form:
    return multipart.parse(io.BytesIO(body), "b", opened, max_text=max_text, max_parts=5)


def test_werkzeug_alone_takes_such_a_form_for_an_empty_one() -> None:
    """The control."""
    body = written((SJIS, b"picture"))
    fields, files = FormDataParser().parse(io.BytesIO(body), "multipart/form-data", None, {"boundary": "b"})[
        1:
    ]
    assert (list(fields), list(files)) == ([], [])
    (name, file) = read(body).files[0]
    assert (name, file.read()) == ("image", b"picture")


@given(st.binary(max_size=30).filter(lambda name: not set(name) & set(b'\r\n"')))
def test_no_byte_in_a_file_name_costs_the_picture(name: bytes) -> None:
    for header in (
        b'form-data; name="image"; filename="' + name + b'"',
        b'form-data; filename="' + name + b'"; name="image"',
    ):
        form = read(written((header, b"picture"), (b'form-data; name="test"', b"true")))
        assert [(part, file.read()) for part, file in form.files] == [("image", b"picture")]
        assert form.fields == [("test", "true")]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (r'filename="C:\Users\bob\photo.jpg"', r"C:\Users\bob\photo.jpg"),
        (r'filename="C:\\Users\\photo.jpg"', r"C:\Users\photo.jpg"),
        (r'filename="5\" tv.jpg"', '5" tv.jpg'),
        ('filename="5%22 tv.jpg"', '5" tv.jpg'),
        ("filename*=UTF-8''%E2%82%AC.jpg", "€.jpg"),
        ("filename*=utf-8'fr'%C3%A9.jpg; filename=e.jpg", "é.jpg"),
        ('filename*0="a"; filename*1="b.jpg"', "ab.jpg"),
        ("filename=写真.jpg", "写真.jpg"),
        ('filename = "photo.jpg"', "photo.jpg"),
        ('filename="a;b.jpg"', "a;b.jpg"),
        ('filename=""', ""),
    ],
)
def test_file_names_are_read_in_each_way_that_they_are_written(header: str, name: str) -> None:
    part = b'form-data; name="image"; ' + header.encode()
    assert [(part, file.filename) for part, file in read(written((part, b"x"))).files] == [("image", name)]


@given(st.binary(max_size=300))
def test_anything_is_read_or_refused(body: bytes) -> None:
    for whole in (body, b"--b\r\n" + body + b"\r\n--b--", written((body, body))):
        with contextlib.suppress(MalformedError, RequestEntityTooLarge):
            read(whole)


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/form-data; boundary=b", "b"),
        ('multipart/form-data; boundary="a b"; charset=utf-8', "a b"),
        ("multipart/form-data; Boundary = ----=_Part_1.2 ;x=y", "----=_Part_1.2"),
        ("multipart/form-data; boundary=a/b:c?=", "a/b:c?="),
        ("multipart/form-data; boundary='b'", "'b'"),
        ("multipart/form-data; boundary=", ""),
        ('multipart/form-data; boundary=""', ""),
        ("multipart/form-data", ""),
        ("", ""),
    ],
)
def test_boundaries(header: str, boundary: str) -> None:
    assert boundary_of(header) == boundary


def test_texts_are_bounded_together() -> None:
    text = (b'form-data; name="a"', b"x" * 400)
    assert len(read(written(text, text)).fields) == 2
    with pytest.raises(RequestEntityTooLarge):
        read(written(text, text, text))
    with pytest.raises(RequestEntityTooLarge):
        read(written(*[(b'form-data; name="a"', b"")] * 6))


def test_a_header_without_an_end_stays_small() -> None:
    body = b"--b\r\nContent-Disposition: " + b"x" * 3_000_000
    tracemalloc.start()
    with pytest.raises(RequestEntityTooLarge):
        read(body, max_text=1 << 21)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_text_that_announces_the_pictures_encoding_is_taken_as_it_came() -> None:
    head = b'form-data; name="image.base64"\r\nContent-Transfer-Encoding: base64'
    assert read(written((head, b"/9j/4AAQ"))).fields == [("image.base64", "/9j/4AAQ")]


def test_the_decoder_still_asks_for_what_is_mended() -> None:
    """The one private name of werkzeug's that is built on."""
    assert hasattr(MultipartDecoder, "_parse_headers")
    decoder = multipart.Decoder(b"b", 1000)
    assert decoder._parse_headers(b'Content-Disposition: form-data; name="\xe9"')["Content-Disposition"]
