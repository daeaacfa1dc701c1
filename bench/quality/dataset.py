"""The data of the fidelity benchmark: cut-outs with exactly known alpha, and real photos.

Both are extracted from published packages, pinned and verified, into a cache folder outside the repository.
The cut-outs are Microsoft's 3D Fluent emoji (MIT) as packaged by LobeHub (MIT), 256 pixels a side with soft
alpha. The photos are those in scikit-image's wheel (public domain, CC0 and similar licences, listed in its
``data/README.txt``), and the engine's test photos.
"""

import contextlib
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engine.config import ROOT
from engine.models import packages
from engine.pipeline.guided_filter import Bytes

CACHE = ROOT / "bench" / ".cache"
PHOTOS = ROOT / "engine" / "tests" / "photos"

EMOJI = "@lobehub/fluent-emoji-3d@1.1.0"
EMOJI_SHA512 = "Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g=="

SKIMAGE = "scikit-image==0.26.0"
SKIMAGE_SHA256 = "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"
SKIMAGE_TAGS = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11")
"""The same build on every machine, since only its photos are used."""

TEXTURES = ("brick.png", "grass.png", "gravel.png")
"""Photos without a subject."""

PLACES = ("coffee.png", "chelsea.png", "astronaut.png", "motorcycle_left.png", "rocket.jpg")
"""Photos with a subject of their own. They are blurred, or the network would rightly find it, too."""

THINGS = [
    *range(0x1F332, 0x1F380),  # plants, food
    *range(0x1F400, 0x1F43F),  # animals
    *range(0x1F451, 0x1F47C),  # clothes, people
    *range(0x1F680, 0x1F6A0),  # vehicles
    *range(0x1F950, 0x1F970),  # food
    *range(0x1F980, 0x1F9AE),  # animals
    *range(0x1FA80, 0x1FAB8),  # objects, insects
]
"""Code points of emoji that could be the subject of a photo: no signs, flags, clocks or smileys."""


def gather(cache: Path = CACHE) -> None:
    """Fetch missing data into ``cache``/emoji and ``cache``/photos; raise PackageError."""
    cache.mkdir(parents=True, exist_ok=True)
    for name, fetch in (("emoji", _fetch_emoji), ("photos", _fetch_photos)):
        if not (cache / name).exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                fetch(Path(folder), Path(folder) / name)
                (Path(folder) / name).replace(cache / name)


def cut_outs(cache: Path = CACHE) -> list[tuple[str, Bytes]]:
    """Return names and cut-outs, RGBA uint8[256, 256, 4] with straight alpha, ordered by code point."""
    paths = [cache / "emoji" / f"{point:x}.webp" for point in THINGS]
    return [(path.stem, _read(path, cv2.IMREAD_UNCHANGED)) for path in paths if path.exists()]


def backgrounds(names: Sequence[str], cache: Path = CACHE) -> list[Bytes]:
    """Return real photos by file name, RGB uint8[H, W, 3]."""
    return [_read(cache / "photos" / name, cv2.IMREAD_COLOR) for name in names]


def photos() -> list[tuple[str, Bytes]]:
    """Return names and RGB pixels of the engine's test photos, whose true alpha is unknown."""
    return [(path.stem, _read(path, cv2.IMREAD_COLOR)) for path in sorted(PHOTOS.glob("*.jpg"))]


def _fetch_emoji(folder: Path, target: Path) -> None:
    target.mkdir()
    with tarfile.open(packages.tarball(EMOJI, EMOJI_SHA512, folder)) as archive:
        for point in THINGS:
            with contextlib.suppress(KeyError):
                member = archive.extractfile(f"package/assets/{point:x}.webp")
                (target / f"{point:x}.webp").write_bytes(member.read() if member else b"")


def _fetch_photos(folder: Path, target: Path) -> None:
    target.mkdir()
    with zipfile.ZipFile(packages.wheel(SKIMAGE, SKIMAGE_SHA256, folder, *SKIMAGE_TAGS)) as archive:
        for name in (*TEXTURES, *PLACES):
            (target / name).write_bytes(archive.read(f"skimage/data/{name}"))


def _read(path: Path, flags: int) -> Bytes:
    pixels = np.asarray(cv2.imread(str(path), flags), np.uint8)
    order = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, order), np.uint8)
