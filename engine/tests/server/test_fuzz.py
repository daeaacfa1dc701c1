"""No HTTP request makes the engine respond with a 5xx."""

import io
from typing import Any
from wsgiref.types import WSGIApplication

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.tests.conftest import KNOWN, REMOVE, auth

# Pillow warns of damaged metadata and reads on.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

NAMES = st.sampled_from(
    [
        "image",
        "image.url",
        "image.base64",
        "max_pixels",
        "background.color",
        "result.crop_to_foreground",
        "result.margin",
        "result.target_size",
        "result.vertical_alignment",
        "output.format",
        "output.jpeg_quality",
        "test",
    ]
)
VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["true", "10% 5px", "64 64", "#102030", "delta_png", "jpeg", "png", "http://[::1", "1"]),
    st.integers().map(str),
)
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((48, 32), 60).convert("RGB").save(file, kind)
    return file.getvalue()


PICTURES = [picture(kind) for kind in ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A small picture with some bytes changed, and perhaps its end missing."""
    content = bytearray(draw(st.sampled_from(PICTURES)))
    for _ in range(draw(st.integers(0, 6))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


def status(application: WSGIApplication, **request: Any) -> int:
    with httpx.Client(base_url="http://engine", transport=httpx.WSGITransport(application)) as http:
        return http.post(REMOVE, auth=auth(KNOWN), **request).status_code


@FEW
@given(content=damaged(), fields=st.dictionaries(NAMES, VALUES, max_size=4))
def test_forms(application: WSGIApplication, content: bytes, fields: dict[str, str]) -> None:
    assert status(application, files={"image": ("x", content)}, data=fields) < 500


@FEW
@given(
    body=st.binary(max_size=300),
    kind=st.sampled_from(
        [
            "multipart/form-data; boundary=b",
            "text/plain",
            "",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "x/y; charset=nonsense",
        ]
    ),
)
def test_bodies(application: WSGIApplication, body: bytes, kind: str) -> None:
    assert status(application, content=body, headers={"Content-Type": kind}) < 500


@FEW
@given(header=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_keys(application: WSGIApplication, header: str) -> None:
    with httpx.Client(base_url="http://engine", transport=httpx.WSGITransport(application)) as http:
        answer = http.post(REMOVE, headers={"Authorization": header})
    assert answer.status_code == 401
