"""The lock says what the requirements ask for, with hashes, and names no registry."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("pip", "run", "dev", "swift")

# Left out on purpose: OpenVINO works without it, and nothing here may phone home.
LEFT_OUT = {"openvino-telemetry"}

pytestmark = pytest.mark.house


def asked(name: str) -> list[Requirement]:
    lines = (ROOT / f"requirements/{name}.in").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("-", "#"))]


def locked(name: str) -> dict[str, list[Requirement]]:
    """Return requirements by name; a name can have a line for each range of Python versions."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines():
        if re.match(r"[a-z]", line):
            requirement = Requirement(line.rstrip(" \\"))
            found.setdefault(requirement.name, []).append(requirement)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_locked_as_asked(name: str) -> None:
    lock = locked(name)
    for requirement in asked(name):
        pins = lock[requirement.name.lower()]
        for pin in pins:
            (version,) = [specifier.version for specifier in pin.specifier]
            assert requirement.specifier.contains(version), f"run make lock: {requirement}"


@pytest.mark.parametrize("name", NAMES)
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z])", text)
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    assert not LEFT_OUT & locked(name).keys()


def test_tests_run_on_what_is_shipped() -> None:
    shipped, tested = locked("run"), locked("dev")
    assert {name: tested.get(name) for name in shipped} == shipped
