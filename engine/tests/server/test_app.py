import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from wsgiref.types import WSGIApplication

import httpx
import numpy as np
import pytest
from PIL import Image

from engine.config import Config
from engine.server import app
from engine.server.app import create_application
from engine.tests.conftest import KNOWN, REMOVE, auth, photo, refusal, upload
from pixian.client.client import Client

CAT = photo("chelsea")


def test_a_photo_is_answered_with_its_cut_out(http: httpx.Client) -> None:
    answer = http.post(REMOVE, files=upload(CAT))

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.headers["X-Credits-Charged"] == "0.135300"
    assert "X-Credits-Calculated" not in answer.headers
    assert answer.headers["X-Input-Size"] == answer.headers["X-Result-Size"] == "451 300"
    assert answer.headers["X-Input-Orientation"] == "1"
    image = Image.open(io.BytesIO(answer.content))
    assert (image.mode, image.size) == ("RGBA", (451, 300))


def test_a_test_tells_the_price(http: httpx.Client) -> None:
    answer = http.post(REMOVE, files=upload(CAT), data={"test": "True"})

    assert answer.headers["X-Credits-Charged"] == "0.000000"
    assert answer.headers["X-Credits-Calculated"] == "0.135300"


def test_the_query_string_counts_and_the_body_wins(http: httpx.Client) -> None:
    query = {"max_pixels": "1000", "test": "true"}

    answer = http.post(REMOVE, params=query, files=upload(CAT), data={"max_pixels": "2000"})

    width, height = map(int, answer.headers["X-Result-Size"].split())
    assert 1900 < width * height <= 2000
    assert answer.headers["X-Credits-Charged"] == "0.000000"


def test_the_contracts_own_client_understands_it(application: WSGIApplication) -> None:
    transport = httpx.WSGITransport(application)
    with (
        Client("http://engine", KNOWN, transport=transport) as client,
        client.remove_background(io.BytesIO(CAT), "cat.jpg", {"test": "true"}) as answer,
    ):
        assert (answer.status, answer.header("X-Credits-Calculated")) == (200, "0.135300")
        assert b"".join(answer.stream()).startswith(b"\x89PNG")


def test_eight_at_once_are_all_right(application: WSGIApplication) -> None:
    names = ["astronaut", "chelsea", "coffee", "rocket"] * 2

    def call(name: str) -> bytes:
        with httpx.Client(transport=httpx.WSGITransport(application), auth=auth(KNOWN)) as client:
            return client.post(f"http://engine{REMOVE}", files=upload(photo(name))).content

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(call, names))

    assert results[:4] == results[4:]
    for name, result in zip(names, results, strict=True):
        original = Image.open(io.BytesIO(photo(name)))
        pixels = np.asarray(Image.open(io.BytesIO(result)))
        opaque = pixels[..., 3] == 255
        np.testing.assert_array_equal(pixels[opaque][:, :3], np.asarray(original)[opaque])


def test_healthz_needs_no_key(http: httpx.Client) -> None:
    answer = http.get("/healthz", auth=None)

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_the_unexpected_is_logged_and_answered(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the reason")

    monkeypatch.setattr(app, "result_response", fail)

    assert refusal(http.post(REMOVE, files=upload(CAT))) == (500, 500)
    assert "RuntimeError: the reason" in caplog.text
    assert KNOWN.api_secret not in caplog.text


def test_missing_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python -m engine\.models\.download fast"):
        create_application(Config(tmp_path, tmp_path, "fast"))
