"""The samples of the page for programs, and the vendor's own, run against a whole instance's gateway.

The vendor's are read from where the project's ground truth lies beside it, and changed in host and key alone;
where that isn't there they are left out, which is said.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.tests.conftest import PHOTOS, models_dir
from jobs.views.quick_start import LANGUAGES, samples
from pixian.credentials import Credentials
from pixian_web.tests.instance import ROOT, Instance, running

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
    """How a language's sample is run: which program it needs, the file's name, and the commands."""

    needs: str
    file: str
    commands: Callable[[str], list[list[str]]]
    environment: dict[str, str] | None = None


RUNNERS = {
    "curl": Runner("curl", "sample.sh", lambda file: [["sh", "-e", file]]),
    "Python": Runner(sys.executable, "sample.py", lambda file: [[sys.executable, file]]),
    "Node.js": Runner("node", "sample.mjs", lambda file: [["node", file]]),
    "PHP": Runner("php", "sample.php", lambda file: [["php", file]]),
    "Ruby": Runner("ruby", "sample.rb", lambda file: [["ruby", file]]),
    "Java": Runner("java", "CutOut.java", lambda file: [["java", file]]),
    "C#": Runner("mcs", "sample.cs", lambda file: [["mcs", HTTP_OF_MONO, file], ["mono", "sample.exe"]]),
}


@pytest.fixture(scope="module")
def gateway(models_dir: Path) -> Iterator[Instance]:
    with tempfile.TemporaryDirectory(prefix="pixian-") as folder, running(Path(folder)) as instance:
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
        env = os.environ | (runner.environment or {})
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=MINUTE, check=False
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
    "curl": (r"\$ (curl .*?-F image=@.*?\.png)\n", RUNNERS["curl"], "{text}"),
    "java": (
        r"// Requires: org.apache[^ ]*:httpclient5-fluent (Request request .*?addBinaryBody.*)\n",
        Runner("java", "CutOut.java", lambda file: [["java", "-cp", CLASSPATH, file]]),
        JAVA,
    ),
    "c#": (r"(using \(var client.*?ByteArrayContent.*)\n", RUNNERS["C#"], CSHARP),
    "node": (
        r"(var request = require\('request'\);.*?createReadStream.*)\n",
        Runner(
            "npm",
            "sample.js",
            lambda file: [
                ["npm", "install", "--silent", "--no-audit", "--no-fund", "request@2.88.2"],
                ["node", "--no-deprecation", file],
            ],
        ),
        "{text}",
    ),
    "php": (r"(\$ch = curl_init.*?curl_file_create.*)\n", RUNNERS["PHP"], "<?php {text}"),
    "python": (r"(import requests response = .*?open\('example.jpeg'.*)\n", RUNNERS["Python"], "{text}"),
    "ruby": (r"(require 'httpclient' .*?File\.open\(\"example.jpeg\".*)\n", RUNNERS["Ruby"], "{text}"),
}


@pytest.mark.skipif(SEED is None, reason="LEFT OUT: the vendor's samples, which aren't beside the project")
@pytest.mark.parametrize("language", THEIRS)
def test_a_sample_of_the_vendors_works_with_another_host(
    gateway: Instance, key: Credentials, folder: Path, language: str
) -> None:
    pattern, runner, around = THEIRS[language]
    if language == "java" and not all(jar.exists() for jar in FLUENT):
        pytest.skip("LEFT OUT: Debian's libhttpclient5-java is missing")
    assert SEED
    found = re.search(pattern, SEED.read_text())
    assert found, language
    run(runner, around.format(text=in_lines(language, pointed(found[1], gateway, key))), folder)
    assert (folder / "pixian_result.png").read_bytes().startswith(PNG)


def pointed(text: str, gateway: Instance, key: Credentials) -> str:
    """With another host and key."""
    replaced = {
        "https://api.pixian.ai": gateway.url,
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
