"""Our reading of pictures against Chromium's, which is the measure of what a picture looks like."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route

from pixian.imaging import delta_png
from pixian.imaging.convert import Pixels
from pixian.tests.imaging.format_cases import Patched, patched
from pixian.tests.imaging.orientation_cases import CORNERS, STORED, UPPER_LEFT, Turned, turned
from pixian.tests.imaging.png_cases import Case, png_table
from pixian.tests.imaging.test_color_profile import as_seen, assert_same, copy_of, patches_seen

pytestmark = pytest.mark.browser

ORIGIN = "http://pictures.test/"

# Any picture of the page's own origin, painted on a canvas, whose pixels are sRGB with straight alpha.
PAINT = """async (count) => {
  const painted = [];
  for (let at = 0; at < count; at += 1) {
    const image = new Image();
    image.src = `/${at}`;
    await image.decode();
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    painted.push([width, height, btoa(String.fromCharCode(...data))]);
  }
  return painted;
}"""


MODULE = Path(__file__).parents[2] / "static/js/delta_png.js"

# Each picture is followed by its delta PNG.
DECODE = """async (count) => {
  const { decodeDelta } = await import("/delta_png.js");
  const decoded = [];
  for (let at = 0; at < count; at += 2) {
    const original = await (await fetch(`/${at}`)).blob();
    const delta = await (await fetch(`/${at + 1}`)).arrayBuffer();
    const { data, width, height } = await decodeDelta(original, delta);
    decoded.push([width, height, btoa(String.fromCharCode(...data))]);
  }
  return decoded;
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def painted(page: Page, contents: Sequence[bytes], script: str = PAINT) -> list[Pixels]:
    """Return each picture as Chromium shows it, RGBA uint8[H, W, 4]."""

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(ORIGIN)
        if name.isdecimal():
            route.fulfill(body=contents[int(name)], content_type="image/*")
        elif name == MODULE.name:
            route.fulfill(path=MODULE, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html>", content_type="text/html")

    page.route(f"{ORIGIN}**", answer)
    page.goto(ORIGIN)
    return [
        np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
        for width, height, data in page.evaluate(script, len(contents))
    ]


def test_each_png_of_the_table_is_seen_as_chromium_shows_it(page: Page) -> None:
    table = list(png_table())
    for case, theirs in zip(table, painted(page, [case.content for case in table]), strict=True):
        # A canvas keeps colours multiplied by alpha, which costs those below it a level more.
        by = 2 if (theirs[..., 3] % 255).any() else 1
        assert_same(as_seen(copy_of(case.content)), theirs, by, case.name)
        assert_same(case.seen, theirs, by, case.name)


def test_each_orientation_is_the_one_that_chromium_applies(page: Page) -> None:
    cases = list(turned())
    for case, theirs in zip(cases, painted(page, [case.content for case in cases]), strict=True):
        assert theirs.shape[1::-1] == (STORED if case.orientation < 5 else STORED[::-1]), case.name
        corner = CORNERS[UPPER_LEFT[case.orientation]]
        assert np.abs(theirs[4, 4, :3].astype(int) - corner).max() < 10, case.name


def test_each_other_format_is_seen_as_chromium_shows_it(page: Page) -> None:
    cases = list(patched())
    for case, theirs in zip(cases, painted(page, [case.content for case in cases]), strict=True):
        ours = as_seen(copy_of(case.content))
        assert_same(patches_seen(ours), patches_seen(theirs), case.by, case.name)
        assert_same(np.array([case.seen], np.uint8), patches_seen(theirs), case.by, case.name)


def opaque_cases() -> Iterator[tuple[str, bytes]]:
    """Return pictures whose pixels a delta PNG copies."""
    cases: list[Case | Patched | Turned] = [*png_table(), *patched(), *turned()]
    for case in cases:
        if (copy_of(case.content).pixels[..., 3] == 255).all():
            yield case.name, case.content


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow looks for a density, too
def test_a_delta_is_put_together_in_chromium_as_it_was_taken_apart(page: Page) -> None:
    names, contents, cut_outs = [], [], []
    for name, content in opaque_cases():
        copy = copy_of(content)
        cut_out = copy.pixels.copy()
        cut_out[:, ::4, 3] = 0
        cut_out[cut_out[..., 3] == 0] = 0
        cut_outs.append(cut_out)
        contents += [content, delta_png.encode(copy.pixels, cut_out, copy.profile)]
        names.append(name)
    assert len(names) > 200
    for name, ours, theirs in zip(names, cut_outs, painted(page, contents, DECODE), strict=True):
        assert_same(ours, theirs, 4 if "cICP" in name or "JPEG" in name else 1, name)
