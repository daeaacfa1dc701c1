"""The browser's reading of a picture's type, size and hash, against Pillow's and hashlib's."""

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route

from conftest import PHOTOS

pytestmark = pytest.mark.browser

MODULES = Path(__file__).parents[2] / "static/js/intake"
ORIGIN = "http://intake.test/"  # plain http, so the browser offers no crypto.subtle here

INSPECT = """async ([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  window.worker ??= new Worker("/inspect.worker.js", { type: "module" });
  const answer = new Promise((resolve) => {
    worker.addEventListener("message", ({ data }) => resolve(data), { once: true });
  });
  worker.postMessage({ id: 7, file: new File([bytes], name), most: 31457280 });
  return await answer;
}"""
HASH = """async (lengths) => {
  const { sha256InScript } = await import("/sha256.js");
  return lengths.map((length) => sha256InScript(Uint8Array.from({ length }, (_, at) => at % 251).buffer));
}"""

pillow_heif.register_heif_opener()

# As Pillow writes them: WebP in its three kinds of file, JPEG and TIFF in several forms.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True, "comment": b"x" * 999}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "extended": ("WEBP", {"exif": b"Exif\0\0"}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "big endian": ("TIFF", {"big_endian": True}),
    "heic": ("HEIF", {}),
    "avif": ("AVIF", {}),
}
TYPES = {"JPEG": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tiff"}
TYPES |= {"HEIF": "heic", "AVIF": "avif"}


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """Return an empty page of a plain http host that has the modules."""
    context = browser.new_context()
    page = context.new_page()
    page.route(f"{ORIGIN}**", serve)
    page.goto(ORIGIN)
    yield page
    context.close()


def serve(route: Route) -> None:
    path = MODULES / route.request.url.removeprefix(ORIGIN)
    if path.is_file():
        route.fulfill(body=path.read_text(), content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html><title>intake</title>", content_type="text/html")


def inspect(page: Page, content: bytes, name: str = "photo") -> Any:
    found = page.evaluate(INSPECT, [name, base64.b64encode(content).decode()])
    assert found.pop("id") == 7
    return found


def encoded(picture: Image.Image, image_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, image_format, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("photo", sorted(PHOTOS.glob("*.jpg")), ids=lambda path: path.stem)
def test_type_size_and_hash_are_as_pillow_and_hashlib_say(page: Page, photo: Path, kind: str) -> None:
    image_format, options = FORMATS[kind]
    with Image.open(photo) as picture:
        content = encoded(picture, image_format, **options)
        width, height = picture.size
    found = inspect(page, content)
    assert found == {
        "type": TYPES[image_format],
        "width": width,
        "height": height,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_a_photo_of_a_phone_is_as_large_as_its_primary_item(page: Page) -> None:
    """It has a thumbnail, and here a larger picture beside the primary one."""
    heif = pillow_heif.from_pillow(Image.new("RGB", (300, 200), "red"))
    heif.add_from_pillow(Image.new("RGB", (400, 380), "blue"))
    file = io.BytesIO()
    heif.save(file, primary_index=0)
    found = inspect(page, file.getvalue())
    assert (found["type"], found["width"], found["height"]) == ("heic", 300, 200)


def test_a_turned_bitmap_has_a_height_below_zero(page: Page) -> None:
    content = bytearray(encoded(Image.new("RGB", (3, 2)), "BMP"))
    content[22:26] = (-2).to_bytes(4, "little", signed=True)
    assert inspect(page, bytes(content))["height"] == 2


def test_our_own_hash_at_the_edges_of_its_blocks(page: Page) -> None:
    assert page.evaluate("() => globalThis.crypto.subtle === undefined")
    lengths = [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 100_000]
    hashes = [hashlib.sha256(bytes(at % 251 for at in range(length))).hexdigest() for length in lengths]
    assert page.evaluate(HASH, lengths) == hashes


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "empty"), (b"%PDF-1.7 and more of it", "notAPicture"), (b"short", "notAPicture")],
)
def test_what_is_no_picture_is_named(page: Page, content: bytes, problem: str) -> None:
    assert inspect(page, content, "invoice.jpg") == {"problem": problem}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_torn_header_is_left_to_the_server(page: Page, kind: str) -> None:
    """Wherever the file ends, the browser answers, and it never makes a size up."""
    image_format, options = FORMATS[kind]
    whole = encoded(Image.new("RGB", (90, 70)), image_format, **options)
    for end in (*range(16, 64, 3), *range(64, len(whole), max(1, len(whole) // 12))):
        found = inspect(page, whole[:end])
        assert (found["width"], found["height"]) in {(None, None), (90, 70)}


def test_a_file_above_the_limit_is_not_read(page: Page) -> None:
    script = INSPECT.replace("31457280", "10")
    found = page.evaluate(script, ["large.png", base64.b64encode(bytes(11)).decode()])
    assert found == {"id": 7, "type": "", "width": None, "height": None, "sha256": ""}
