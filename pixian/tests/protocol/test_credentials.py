import base64
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pixian.protocol.credentials import Credentials, load_or_create_secret


def test_generated_ones_have_the_contracts_shape() -> None:
    made = Credentials.generate()
    assert re.fullmatch(r"px[a-z0-9]{13}", made.api_id)
    assert re.fullmatch(r"[0-9a-v]{52}", made.api_secret)
    assert made.api_secret not in repr(made)
    assert made != Credentials.generate()


def test_they_travel_in_a_basic_header() -> None:
    made = Credentials("px1", "a:b")
    assert made.authorization == "Basic " + base64.b64encode(b"px1:a:b").decode()
    assert Credentials.from_header(made.authorization) == made
    assert Credentials.from_header(f"basic {made.api_key}") == made


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic ???", "Bearer abc", "Basic /w==", "Basic cHgx", "Basic é"]
)
def test_anything_else_is_none(header: str) -> None:
    assert Credentials.from_header(header) is None


def test_a_secret_is_made_once_however_many_ask(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    made = iter(range(100))
    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(lambda _: load_or_create_secret(path, lambda: f"secret {next(made)}"), range(32)))
    assert len(seen) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]
