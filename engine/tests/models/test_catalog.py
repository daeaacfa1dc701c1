import io
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from engine.config import Config
from engine.models import catalog as models
from engine.models.spec import Model, ModelError
from engine.server.app import create_application
from engine.tests.conftest import KNOWN, REMOVE, auth, photo, upload

FAST = models.BUILT_IN["fast"]
RECORD: dict[str, Any] = {
    "file": "mine.onnx",
    "sha256": FAST.sha256,
    "input_size": 320,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


def describe(folder: Path, name: str, **changes: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(RECORD | changes))


def test_the_built_in_ones_are_found(tmp_path: Path) -> None:
    assert models.find("standard", tmp_path).file == "u2net.onnx"
    assert models.find("fast", tmp_path).file == "u2netp.onnx"


def test_an_operators_own_network_is_served(tmp_path: Path, models_dir: Path) -> None:
    shutil.copyfile(FAST.path(models_dir), tmp_path / "mine.onnx")
    describe(tmp_path, "mine")
    application = create_application(Config(tmp_path, tmp_path, "mine", KNOWN.api_id, KNOWN.api_secret))

    with httpx.Client(transport=httpx.WSGITransport(application), auth=auth(KNOWN)) as client:
        answer = client.post(f"http://engine{REMOVE}", files=upload(photo("coffee")))

    assert Image.open(io.BytesIO(answer.content)).getpixel((0, 0)) == (0, 0, 0, 0)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    describe(tmp_path, "mine")

    with pytest.raises(ModelError, match=r"'other'.*standard, fast, mine"):
        models.find("other", tmp_path)


@pytest.mark.parametrize("name", ["../mine", "/etc/passwd", "", "A", ".hidden", "a/b", "a" * 64])
def test_a_name_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="isn't a valid model name"):
        models.find(name, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"file": "../u2net.onnx"}, "file in mine.json"),
        ({"file": None}, "file in mine.json"),
        ({"sha256": "abc"}, "sha256"),
        ({"input_size": "320"}, "input_size"),
        ({"input_size": True}, "input_size"),
        ({"mean": [1, 2]}, "mean"),
        ({"mean": [1, 2, "3"]}, "mean"),
        ({"std": [1, 1, 0]}, "std.*above 0"),
        ({"sixe": 3}, "sixe"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    describe(tmp_path, "mine", **changes)

    with pytest.raises(ModelError, match=said):
        models.find("mine", tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "\x00\xff"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.json").write_text(text)

    with pytest.raises(ModelError, match=r"mine\.json"):
        models.find("mine", tmp_path)


def test_other_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "u2netp.onnx"
    path.write_bytes(b"not a network")

    with pytest.raises(ModelError, match=f"not {FAST.sha256}"):
        FAST.check(path)


def test_every_built_in_network_says_who_made_it() -> None:
    for model in models.BUILT_IN.values():
        assert isinstance(model, Model)
        assert "Apache License 2.0" in model.notice
        assert model.wheel is not None
