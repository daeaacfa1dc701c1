"""README and code agree on the settings."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READERS = ("pixian_web/settings.py", "engine/config.py")

pytestmark = pytest.mark.house


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    code = "".join((ROOT / path).read_text() for path in READERS)
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', code))
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert read == documented
