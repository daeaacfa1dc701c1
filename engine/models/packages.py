"""Download of published packages, verified by their hash and never installed.

pip and npm do the downloading, so that their settings for mirrors and proxies apply.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path


class PackageError(Exception):
    """A package couldn't be downloaded; the message includes what pip or npm printed."""


def wheel(requirement: str, sha256: str, folder: Path, *options: str) -> Path:
    """Download a wheel (``name==version``) into ``folder`` and return its path; pip verifies its hash.

    options: further options for ``pip download``. Raises PackageError.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-cache-dir", "--no-deps", "--ignore-requires-python"]
    command += ["--only-binary=:all:", "--require-hashes", *options]
    _run([*command, "--dest", str(folder), "-r", str(requirements)], f"pip couldn't download {requirement}")
    return next(folder.glob("*.whl"))


def tarball(package: str, sha512: str, folder: Path) -> Path:
    """Download an npm package (``name@version``) into ``folder`` and return its path.

    sha512: in base64, as in npm's lock files. Raises PackageError.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise PackageError(f"npm is needed to fetch {package} but isn't installed: install Node.js with npm")
    command = [npm, "pack", "--silent", "--ignore-scripts", "--no-update-notifier", "--no-audit", "--no-fund"]
    _run([*command, "--pack-destination", str(folder), package], f"npm couldn't fetch {package}")
    path = next(folder.glob("*.tgz"))
    with path.open("rb") as file:
        actual = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if actual != sha512:
        raise PackageError(f"npm fetched {package} with the SHA-512 {actual}, not {sha512}")
    return path


def _run(command: list[str], complaint: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if result.returncode:
        # Indented lines are pip's traceback, and the warnings are about a missing index page.
        lines = result.stderr.splitlines()
        reasons = [line for line in lines if line[:1].strip() and "WARNING: Location" not in line]
        raise PackageError(
            "\n".join([f"{complaint}. Its output:", *(f"    {line}" for line in reasons[-8:])])
        )
