"""Programs written against the live service, pointed at the engine by another host alone."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.config import ROOT
from engine.tests.conftest import KNOWN, PHOTOS

PNG = b"\x89PNG"
COFFEE = PHOTOS / "coffee.jpg"
PIXIAN_AI = (
    "pixian-ai==1.0.0 --hash=sha256:03fec04ce425b19e04cad58bf085d9e8085a77e54bdfcff3894534cff5789c10\n"
)

PYTHON_SAMPLE = """
import sys, requests
url, api_id, secret, photo, out = sys.argv[1:]
answer = requests.post(url, files={"image": open(photo, "rb")}, data={"test": True}, auth=(api_id, secret))
answer.raise_for_status()
open(out, "wb").write(answer.content)
"""

# The vendor's own samples for Node are written for this package.
NODE_SAMPLE = """
const fs = require("fs"), request = require("request");
const [url, user, pass, photo, out] = process.argv.slice(2);
const formData = {image: fs.createReadStream(photo)}, auth = {user, pass};
request.post({url, formData, auth, followAllRedirects: true, encoding: null}, (error, answer, body) => {
  if (error || answer.statusCode !== 200) throw error || new Error(body.toString());
  fs.writeFileSync(out, body);
});
"""

PIXIAN_AI_SAMPLE = """
import base64, sys, types, requests, pixian_ai.client as client
url, api_id, secret, photo, out = sys.argv[1:]
host = url.partition("/api/")[0]
elsewhere = lambda address, **rest: requests.post(address.replace("https://api.pixian.ai", host), **rest)
client.requests = types.SimpleNamespace(post=elsewhere, **{
    name: getattr(requests, name) for name in dir(requests) if name != "post"})
pixian = client.PixianAI(api_id=api_id, api_secret=secret)
pixian.remove_background(image_path=photo, result_crop_to_foreground=True).save(out)
text = base64.b64encode(open(photo, "rb").read()).decode()
pixian.remove_background(image_base64=text, background_color="#336699").save(out + ".jpg")
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[str]:
    """The address of the call, on a TCP port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    environment = os.environ | {
        "DATA_DIR": str(tmp_path_factory.mktemp("t")),
        "MODELS_DIR": str(models_dir),
        "ENGINE_MODEL": "fast",
        "ENGINE_API_ID": KNOWN.api_id,
        "ENGINE_API_SECRET": KNOWN.api_secret,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "engine/gunicorn.py", "-b", host, "engine.wsgi"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        wait_until_up(f"http://{host}/healthz")
        yield f"http://{host}/api/v2/remove-background"
    finally:
        process.terminate()
        process.wait(30)


def wait_until_up(url: str) -> None:
    for _ in range(300):
        try:
            httpx.get(url, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)


def run(command: list[str | Path], folder: Path, **environment: str) -> None:
    env = os.environ | environment
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def arguments(engine: str, out: Path) -> list[str | Path]:
    return [engine, KNOWN.api_id, KNOWN.api_secret, COFFEE, out]


def test_curl(engine: str, tmp_path: Path) -> None:
    key = f"{KNOWN.api_id}:{KNOWN.api_secret}"
    run(["curl", "-sf", engine, "-u", key, "-F", f"image=@{COFFEE}", "-o", "out.png"], tmp_path)
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)


def test_python_with_requests(engine: str, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    run([sys.executable, "-c", PYTHON_SAMPLE, *arguments(engine, out)], tmp_path)
    assert out.read_bytes().startswith(PNG)


@pytest.mark.skipif(shutil.which("npm") is None, reason="LEFT OUT: the Node sample, since npm is missing")
def test_node_with_request(engine: str, tmp_path: Path) -> None:
    run(["npm", "install", "--silent", "--no-audit", "--no-fund", "request@2.88.2"], tmp_path)
    (tmp_path / "sample.js").write_text(NODE_SAMPLE)
    run(["node", "--no-deprecation", "sample.js", *arguments(engine, tmp_path / "out.png")], tmp_path)
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)


def test_pixian_ai(engine: str, tmp_path: Path) -> None:
    """Fetched, not installed: it states no licence, so nothing here may depend on it."""
    (tmp_path / "wanted.txt").write_text(PIXIAN_AI)
    fetch = ["-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "-d", ".", "-r", "wanted.txt"]
    run([sys.executable, *fetch], tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    out = tmp_path / "out.png"
    run([sys.executable, "-c", PIXIAN_AI_SAMPLE, *arguments(engine, out)], tmp_path, PYTHONPATH=str(wheel))
    assert out.read_bytes().startswith(PNG)
    assert (tmp_path / "out.png.jpg").read_bytes().startswith(b"\xff\xd8\xff")
