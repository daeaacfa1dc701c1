"""The browser's decoder, run by node, against Python's."""

import io
import json
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pixian.imaging.convert import Pixels
from pixian.imaging.delta_png import decode, encode
from pixian.imaging.encode import png
from pixian.tests.imaging.test_delta_png import photo

MODULE = Path(__file__).parents[3] / "static/js/delta_png.js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None, reason="LEFT OUT: node is missing, which runs the browser's code"
)

# As data, since node takes a .js file without a package.json for CommonJS.
RUN = """
import { readFileSync, writeFileSync } from "node:fs";
const [module, folder, shape] = process.argv.slice(1);
const source = "data:text/javascript;base64," + readFileSync(module).toString("base64");
const { decodeDelta } = await import(source);
globalThis.ImageData = class {
  constructor(data, width, height) {
    Object.assign(this, { data, width, height });
  }
};
const delta = readFileSync(folder + "/delta.png");
const buffer = delta.buffer.slice(delta.byteOffset, delta.byteOffset + delta.length);
try {
  const original = { ...JSON.parse(shape), data: readFileSync(folder + "/original") };
  const { data, width, height } = await decodeDelta(original, buffer);
  writeFileSync(folder + "/decoded", data);
  console.log(JSON.stringify({ width, height, kind: data.constructor.name }));
} catch (error) {
  console.log(JSON.stringify({ error: error.name, message: error.message }));
}
"""


def run(folder: Path, original: Pixels, delta: bytes) -> dict[str, Any]:
    opaque = np.dstack([original, np.full(original.shape[:2], 255, np.uint8)])
    (folder / "original").write_bytes(opaque.tobytes())
    (folder / "delta.png").write_bytes(delta)
    shape = json.dumps({"width": original.shape[1], "height": original.shape[0]})
    command = [str(NODE), "--input-type=module", "-e", RUN, str(MODULE), str(folder), shape]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def saved(pixels: Pixels, mode: str = "RGBA") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


def assert_decoded(folder: Path, original: Pixels, delta: bytes) -> None:
    height, width = original.shape[:2]
    assert run(folder, original, delta) == {"width": width, "height": height, "kind": "Uint8ClampedArray"}
    decoded = np.frombuffer((folder / "decoded").read_bytes(), np.uint8).reshape(height, width, 4)
    np.testing.assert_array_equal(decoded, decode(original, delta))


@pytest.mark.parametrize("name", ["astronaut", "chelsea"])
@pytest.mark.parametrize("test", [False, True])
def test_it_agrees_with_pythons_on_a_photo(tmp_path: Path, name: str, test: bool) -> None:
    original, cut_out = photo(name)
    cut_out[200:260, 100:300, :3] ^= 255
    assert_decoded(tmp_path, original, encode(original, cut_out, test=test))


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        (cv2.IMWRITE_PNG_FILTER_NONE, 0),
        (cv2.IMWRITE_PNG_FILTER_SUB, 1),
        (cv2.IMWRITE_PNG_FILTER_UP, 2),
        (cv2.IMWRITE_PNG_FILTER_AVG, 3),
        (cv2.IMWRITE_PNG_FILTER_PAETH, 4),
    ],
)
def test_every_filter_is_undone(tmp_path: Path, setting: int, number: int) -> None:
    original, cut_out = photo("chelsea")
    cut_out[:60] = np.random.default_rng(0).integers(0, 256, (60, 451, 4), np.uint8)
    delta = png(cut_out, None, (cv2.IMWRITE_PNG_FILTER, setting))
    assert filters(delta)[1:].count(number) > 250

    assert_decoded(tmp_path, original, delta)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1)])
def test_the_smallest_too(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 4), np.uint8)
    assert_decoded(tmp_path, pixels[..., :3], saved(pixels))


def test_what_cannot_be_decoded_says_why(tmp_path: Path) -> None:
    original, cut_out = photo("chelsea")
    whole = encode(original, cut_out)
    for delta, error, message in [
        (whole, "RangeError", "451 × 299"),
        (b"GIF89a" + bytes(99), "TypeError", "isn't a PNG"),
        (whole[:20], "TypeError", "no header"),
        (saved(cut_out, "RGB"), "TypeError", "RGBA"),
        # Where zlib breaks off, node throws an Error and browsers a TypeError.
        (whole[: len(whole) // 2], "Error", "unexpected end"),
    ]:
        answer = run(tmp_path, original[:-1], delta)
        assert (answer["error"], message in answer["message"]) == (error, True), answer


def filters(content: bytes) -> list[int]:
    """The filter of each row of an RGBA PNG."""
    with Image.open(io.BytesIO(content)) as image:
        stride = 1 + 4 * image.width
    return list(inflated(content)[::stride])


def inflated(content: bytes) -> bytes:
    data, at = b"", 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        if content[at + 4 : at + 8] == b"IDAT":
            data += content[at + 8 : at + 8 + length]
        at += 12 + length
    return zlib.decompress(data)
