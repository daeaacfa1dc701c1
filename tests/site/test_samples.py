"""The samples of the page for programs, and the vendor's own, run against a whole instance's gateway.

The vendor's are read from where the project's ground truth lies beside it, and changed in host, key and photo
alone; where that isn't there they are left out, which is said.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.tests.conftest import PHOTOS, models_dir
from jobs.views.teams.quick_start import LANGUAGES, samples
from pixian.protocol.credentials import Credentials
from tests.site.instance import ROOT, Instance, running

__all__ = ["models_dir"]

PNG = b"\x89PNG"
SEED = next(iter(sorted((ROOT.parent / "shared" / "seed").glob("*.txt"))), None)
JARS = Path("/usr/share/java")
NAMES = ("httpclient5", "httpclient5-fluent", "httpcore5", "httpcore5-h2", "slf4j-api")
FLUENT = [JARS / f"{name}.jar" for name in NAMES]
HTTP_OF_MONO = "-r:System.Net.Http.dll"
MINUTE = 60


@dataclass(frozen=True)
class Runner:
    """Program that runs a language's sample, the name of the sample's file, and the commands."""

    needs: str
    file: str
    commands: Callable[[str], list[list[str]]]


RUNNERS = {
    "curl": Runner("curl", "sample.sh", lambda file: [["sh", "-e", file]]),
    "Python": Runner(sys.executable, "sample.py", lambda file: [[sys.executable, file]]),
    "Node.js": Runner("node", "sample.mjs", lambda file: [["node", file]]),
    "PHP": Runner("php", "sample.php", lambda file: [["php", file]]),
    "Ruby": Runner("ruby", "sample.rb", lambda file: [["ruby", file]]),
    "Java": Runner("java", "CutOut.java", lambda file: [["java", file]]),
    "C#": Runner("mcs", "sample.cs", lambda file: [["mcs", HTTP_OF_MONO, file], ["mono", "sample.exe"]]),
}


class Photos(SimpleHTTPRequestHandler):
    """Photos on a web server of ours, for the samples that name an address."""

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def photo_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Photos, directory=str(PHOTOS))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/coffee.jpg"
        server.shutdown()


@pytest.fixture(scope="module")
def gateway(models_dir: Path, photo_url: str) -> Iterator[Instance]:
    reached = {"FETCH_NETWORKS": "127.0.0.1/32", "FETCH_PORTS": str(urlsplit(photo_url).port)}
    with (
        tempfile.TemporaryDirectory(prefix="pixian-") as folder,
        running(Path(folder), **reached) as instance,
    ):
        yield instance


@pytest.fixture(scope="module")
def key(gateway: Instance) -> Credentials:
    command = ["setup_team", "Shop", "--owner", "a@example.org", "--credits", "1000", "--api-key", "k"]
    made = json.loads(gateway.manage(*command))
    return Credentials(made["api_id"], made["api_secret"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a photo under the names that samples have for it."""
    for name in ("photo.jpg", "example.jpeg"):
        shutil.copy(PHOTOS / "coffee.jpg", tmp_path / name)
    return tmp_path


def run(runner: Runner, text: str, folder: Path) -> None:
    if shutil.which(runner.needs) is None:
        pytest.skip(f"LEFT OUT: {runner.needs} is missing and can't be installed here")
    (folder / runner.file).write_text(text)
    for command in runner.commands(runner.file):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=MINUTE, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sample_of_ours_brings_a_cut_out(
    gateway: Instance, key: Credentials, folder: Path, language: str
) -> None:
    (sample,) = [each for each in samples(gateway.url, key) if each.language == language]
    run(RUNNERS[language], sample.text, folder)
    assert (folder / "cutout.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("language", ["curl", "Python", "Node.js", "PHP", "Ruby"])
def test_a_sample_of_ours_fails_with_what_is_wrong(
    gateway: Instance, key: Credentials, folder: Path, language: str
) -> None:
    wrong = Credentials(key.api_id, "x" * 52)
    (sample,) = [each for each in samples(gateway.url, wrong) if each.language == language]
    with pytest.raises(AssertionError, match="1004"):
        run(RUNNERS[language], sample.text, folder)
    assert not (folder / "cutout.png").exists()


# The vendor's ---------------------------------------------------------------------------------------


JAVA = """
import java.io.*;
import org.apache.hc.client5.http.entity.mime.MultipartEntityBuilder;
import org.apache.hc.client5.http.fluent.Request;
import org.apache.hc.core5.http.ClassicHttpResponse;

class CutOut {{ public static void main(String[] a) throws Exception {{ {text} }} }}
"""
CSHARP = """
using System; using System.IO; using System.Net.Http; using System.Net.Http.Headers;

class CutOut {{ static void Main() {{ {text} System.Threading.Thread.Sleep(500); }} }}
"""
CLASSPATH = ":".join(map(str, FLUENT))

THEIRS: dict[str, tuple[str, Runner, str]] = {
    "curl": ("curl https", RUNNERS["curl"], "{text}"),
    "java": (
        "Request request",
        Runner("java", "CutOut.java", lambda file: [["java", "-cp", CLASSPATH, file]]),
        JAVA,
    ),
    "c#": ("using (var client", RUNNERS["C#"], CSHARP),
    "node": (
        "var request",
        Runner("npm", "sample.js", lambda file: [["node", "--no-deprecation", file]]),
        "{text}",
    ),
    "php": ("$ch = curl_init", RUNNERS["PHP"], "<?php {text}"),
    "python": ("import requests", RUNNERS["Python"], "{text}"),
    "ruby": ("require 'httpclient'", RUNNERS["Ruby"], "{text}"),
}
"""By how their code begins, after what they say that is needed; and what stands around it."""


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the package that the vendor's samples for Node are written for."""
    folder = tmp_path_factory.mktemp("node")
    if shutil.which("npm"):
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "request@2.88.2"]
        subprocess.run(command, cwd=folder, check=True, timeout=MINUTE)
    return folder / "node_modules"


@pytest.mark.skipif(SEED is None, reason="LEFT OUT: the vendor's samples, which aren't beside the project")
@pytest.mark.parametrize("which", ["file", "url"])
@pytest.mark.parametrize("language", THEIRS)
def test_a_sample_of_the_vendors_works_with_another_host(
    gateway: Instance,
    key: Credentials,
    photo_url: str,
    folder: Path,
    node_modules: Path,
    language: str,
    which: str,
) -> None:
    begins, runner, around = THEIRS[language]
    if language == "java" and not all(jar.exists() for jar in FLUENT):
        pytest.skip("LEFT OUT: Debian's libhttpclient5-java is missing")
    (folder / "node_modules").symlink_to(node_modules)
    text = pointed(theirs(begins, which), gateway, key, photo_url)
    run(runner, around.format(text=in_lines(language, text)), folder)
    assert (folder / "pixian_result.png").read_bytes().startswith(PNG)


def theirs(begins: str, which: str) -> str:
    """Return the code of a language's sample.

    Each is a line of its own, the one with a file before the one with a URL.
    """
    assert SEED
    file, url = [line for line in SEED.read_text().splitlines() if begins in line]
    line = file if which == "file" else url
    return line[line.index(begins) :]


def pointed(text: str, gateway: Instance, key: Credentials, photo_url: str) -> str:
    """With another host, key and photo."""
    replaced = {
        "https://api.pixian.ai": gateway.url,
        "https://example.com/example.jpeg": photo_url,
        "xyz123:[secret]": f"{key.api_id}:{key.api_secret}",
        "'xyz123'": f"'{key.api_id}'",
        "'[secret]'": f"'{key.api_secret}'",
        "INSERT_API_KEY_HERE": key.api_key,
    }
    for old, new in replaced.items():
        text = text.replace(old, new)
    return re.sub(r"Basic cHh[A-Za-z0-9+/=]+", f"Basic {key.api_key}", text)


COMMENTS = re.compile(
    r"(//|#) (TODO: Replace with your image( URL)?|TODO: Add more upload (parameters|options) here"
    r"|Write result to disk, TODO: or wherever you'd like|Save result)"
)
BREAKS = {
    "python": [
        (r"(import requests) ", r"\1\n"),
        (r" (if response|else:)", r"\n\1"),
        (r" (with open|print\()", r"\n    \1"),
        (r" (out\.write)", r"\n        \1"),
    ],
    "ruby": [(r" (client = |response = |if response|File\.open\(\"pixian|else |puts |end$)", r"\n\1")],
}
"""Where lines end on which the grammar depends: the page that they were taken from has lost them."""


def in_lines(language: str, text: str) -> str:
    text = COMMENTS.sub("", text.replace(" \\ ", " ")).strip()
    for pattern, line in BREAKS.get(language, []):
        text = re.sub(pattern, line, text)
    return text
