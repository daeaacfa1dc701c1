"""E21: programs written against the live services, pointed at the gateway by another host alone.

They are fetched, not installed: nothing here may depend on them. What differs from their own use is the host.
The vendor's samples are in ``test_samples``.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from engine.tests.conftest import PHOTOS, models_dir
from engine.tests.server.test_clients import PIXIAN_AI, PIXIAN_AI_SAMPLE, run
from pixian.protocol.credentials import Credentials
from tests.site.instance import Instance, running

__all__ = ["models_dir"]

COFFEE = PHOTOS / "coffee.jpg"
PNG, JPEG = b"\x89PNG", b"\xff\xd8\xff"
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="LEFT OUT: the clients from npm")

REMOVEBG = "removebg==0.04 --hash=sha256:278eed1f61f90a0990582556b436ed232553936d6531562593d747f202be6d81\n"
REMOVE_BG_API = (
    "remove-bg-api==0.2.1 --hash=sha256:b5e5621f1e834d0114d376ded0a681a046850db2b66df6fd47f04e284e15504e\n"
)

REMOVEBG_SAMPLE = """
import base64, sys, shutil
from removebg import removebg
host, key, photo, out = sys.argv[1:]
removebg.API_ENDPOINT = host + "/v1.0/removebg"
client = removebg.RemoveBg(key, out + ".log")
shutil.copy(photo, out + ".jpg")
client.remove_background_from_img_file(out + ".jpg", size="regular", bg_color="ffffff80")
text = base64.b64encode(open(photo, "rb").read()).decode()
client.remove_background_from_base64_img(text, new_file_name=out)
"""

REMOVE_BG_API_SAMPLE = """
import sys, remove_bg_api
host, key, photo, out = sys.argv[1:]
remove_bg_api.API_URL = host + "/v1.0"
client = remove_bg_api.RemoveBg(key)
before = client.account.balance()
assert before == 1000, before
client.remove_bg_file(photo, out, size="full", raw=False)
assert client.account.balance() == before - 1
assert client.account.get_balance_dict()["total"] == before - 1
try:
    client.change_api_key("wrong")
    client.remove_bg_file(photo)
except remove_bg_api.Errors.ApiErrorCode403:
    pass
else:
    raise AssertionError("a wrong key was let in")
"""

REMOVE_BG_NPM_SAMPLE = """
const fs = require("fs"), path = require.resolve("remove.bg/dist/index.js");
const [host, apiKey, photo, outputFile] = process.argv.slice(2);
fs.writeFileSync(path, fs.readFileSync(path, "utf8").replace("https://api.remove.bg", host));
const client = require("remove.bg");
(async () => {
  const file = await client.removeBackgroundFromImageFile({path: photo, apiKey, size: "regular", outputFile});
  if (file.detectedType !== "other" || !file.creditsCharged || !file.resultWidth) throw file;
  const base64img = fs.readFileSync(photo).toString("base64");
  const options = {base64img, apiKey, crop: true, crop_margin: "5%"};
  const text = await client.removeBackgroundFromImageBase64(options);
  if (!text.base64img) throw text;
  await client.removeBackgroundFromImageFile({path: photo, apiKey: "wrong", outputFile}).then(
    () => { throw new Error("a wrong key was let in"); },
    errors => { if (errors[0].code !== "auth_failed") throw errors; });
})().catch(error => { console.error(error); process.exit(1); });
"""


@pytest.fixture(scope="module")
def gateway(models_dir: Path) -> Iterator[Instance]:
    with tempfile.TemporaryDirectory(prefix="pixian-") as folder, running(Path(folder)) as instance:
        yield instance


@pytest.fixture(scope="module")
def key(gateway: Instance) -> Credentials:
    return key_of(gateway, "shared")


@pytest.fixture
def untouched_key(gateway: Instance) -> Credentials:
    return key_of(gateway, "untouched")


def key_of(gateway: Instance, team: str) -> Credentials:
    """Return the key of a new team with 1,000 credits."""
    command = ["setup_team", team, "--owner", "a@example.org", "--credits", "1000", "--api-key", "k"]
    made = json.loads(gateway.manage(*command))
    return Credentials(made["api_id"], made["api_secret"])


def fetched(requirement: str, folder: Path) -> Path:
    """Unpack a package from the index without installing it; return the folder of its modules."""
    (folder / "wanted.txt").write_text(requirement)
    options = ["-q", "--no-deps", "--require-hashes", "--target", "lib", "-r", "wanted.txt"]
    run([sys.executable, "-m", "pip", "install", *options], folder)
    return folder / "lib"


def test_pixian_ai(gateway: Instance, key: Credentials, tmp_path: Path) -> None:
    lib, out = fetched(PIXIAN_AI, tmp_path), tmp_path / "out.png"
    url = f"{gateway.url}/api/v2/remove-background"
    arguments: list[str | Path] = [url, key.api_id, key.api_secret, COFFEE, out]
    run([sys.executable, "-c", PIXIAN_AI_SAMPLE, *arguments], tmp_path, PYTHONPATH=str(lib))
    assert out.read_bytes().startswith(PNG)
    assert (tmp_path / "out.png.jpg").read_bytes().startswith(JPEG)


def test_removebg(gateway: Instance, key: Credentials, tmp_path: Path) -> None:
    lib, out = fetched(REMOVEBG, tmp_path), tmp_path / "out.png"
    arguments: list[str | Path] = [gateway.url, key.api_key, COFFEE, out]
    run([sys.executable, "-c", REMOVEBG_SAMPLE, *arguments], tmp_path, PYTHONPATH=str(lib))
    assert out.read_bytes().startswith(PNG)
    with Image.open(tmp_path / "out.png.jpg_no_bg.png") as painted:
        assert painted.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 128)


def test_remove_bg_api(gateway: Instance, untouched_key: Credentials, tmp_path: Path) -> None:
    """Send it a picture of a megapixel, at one credit, since it reads the charge as an integer."""
    lib, out, megapixel = fetched(REMOVE_BG_API, tmp_path), tmp_path / "out.png", tmp_path / "photo.png"
    with Image.open(COFFEE) as photo:
        photo.resize((1000, 1000)).save(megapixel)
    arguments: list[str | Path] = [gateway.url, untouched_key.api_key, megapixel, out]
    run([sys.executable, "-c", REMOVE_BG_API_SAMPLE, *arguments], tmp_path, PYTHONPATH=str(lib))
    assert out.read_bytes().startswith(PNG)


@needs_npm
def test_remove_bg_from_npm(gateway: Instance, key: Credentials, tmp_path: Path) -> None:
    run(["npm", "install", "--silent", "--no-audit", "--no-fund", "remove.bg@1.3.0"], tmp_path)
    (tmp_path / "sample.js").write_text(REMOVE_BG_NPM_SAMPLE)
    arguments: list[str | Path] = [gateway.url, key.api_key, COFFEE, tmp_path / "out.png"]
    run(["node", "--no-deprecation", "sample.js", *arguments], tmp_path)
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)


def test_the_books_add_up_after_all_of_them(gateway: Instance) -> None:
    assert gateway.books_add_up()
