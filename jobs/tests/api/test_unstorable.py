"""API calls with text that no database can hold are refused in their contract's envelope; nothing stays."""

import base64
import json
from pathlib import Path

import httpx
import pytest
from pytest_django import Settings

from accounts.models import RateLimit
from accounts.rate_limits import Bound
from conftest import World, small_png
from jobs.models import Job
from jobs.tests.api.programs import REMOVE, Program, program_with

pytestmark = pytest.mark.both_databases

BAD = ["\0", "a\0b", "\ud800", "\udfff\0"]


def stored(settings: Settings) -> list[Path]:
    return sorted(Path(settings.MEDIA_ROOT).rglob("source.png"))


def unspoilt(program: Program, settings: Settings, answer: httpx.Response) -> None:
    """Refused, with nothing held, made or stored; the next call is fine."""
    assert answer.status_code == 400, answer.text
    assert not Job.objects.exists()
    assert stored(settings) == []
    assert program.call().status_code == 200


@pytest.mark.parametrize("name", ["background.color", "max_pixels", "unknown", "image.url", "test"])
def test_a_calls_field(program: Program, settings: Settings, name: str) -> None:
    answer = program.call(fields={name: "a\0b"})
    assert answer.json()["error"]["code"] == 1019
    unspoilt(program, settings, answer)


def test_a_calls_unknown_field_with_a_bad_name(program: Program, settings: Settings) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a\0b"\r\n\r\n1\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = program.http.post(REMOVE, content=body, headers=headers)
    assert answer.json()["error"]["code"] == 1019
    unspoilt(program, settings, answer)


def test_a_calls_query(program: Program, settings: Settings) -> None:
    answer = program.http.post(f"{REMOVE}?unknown=%00", files={"image": ("p.png", small_png())})
    assert answer.json()["error"]["code"] == 1019
    unspoilt(program, settings, answer)


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("name", ["size", "bg_color", "unknown", "image_url"])
def test_the_drop_ins_json(program: Program, settings: Settings, name: str, text: str) -> None:
    picture = base64.b64encode(small_png()).decode()
    body = json.dumps({"image_file_b64": picture, name: text, f"k{text}": 1})
    answer = program.http.post("/v1.0/removebg", content=body, headers={"Content-Type": "application/json"})
    assert list(answer.json()) == ["errors"]
    unspoilt(program, settings, answer)


@pytest.mark.parametrize("query", ["key=%00", "name=%00", "state=%00", "unknown=%00", "%00=1", "before=%00"])
@pytest.mark.parametrize("address", ["/api/jobs", "/api/ledger", "/api/usage"])
def test_our_own_apis_query(program: Program, address: str, query: str) -> None:
    answer = program.http.get(f"{address}?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1019)


def basic(text: bytes) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text).decode()}"}


def x_api_key(text: bytes) -> dict[str, str]:
    return {"X-Api-Key": base64.b64encode(text).decode()}


@pytest.mark.parametrize("address", ["/api/v2/account", "/v1.0/account", "/api/balance"])
@pytest.mark.parametrize("credentials", [b"px\0:secret", b"\0:\0", b"\xed\xa0\x80:x", b"px:\0", b"\xff:x"])
def test_a_key_is_a_guess_that_counts(
    committed_world: World, settings: Settings, address: str, credentials: bytes
) -> None:
    settings.API_GUESSES_PER_ADDRESS = 2
    sent = x_api_key(credentials) if address.startswith("/v1.0") else basic(credentials)
    http = program_with(None)
    wrong = 403 if address.startswith("/v1.0") else 401
    answers = [http.get(address, headers=sent).status_code for _ in range(3)]
    assert answers == [wrong, wrong, 429]
    assert RateLimit.objects.get().subject == Bound("guesses:127.0.0.1", 2).row


def test_an_idempotency_key(program: Program, settings: Settings) -> None:
    unspoilt(program, settings, program.call(headers={"Idempotency-Key": "a\0b"}))


def test_a_picture_is_taken_whatever_it_is_called(program: Program) -> None:
    for name in ("a\0b.png", "\x7f.png", "é.png"):
        files = {"image": (name, small_png())}
        assert program.http.post(REMOVE, files=files).status_code == 200
        assert Job.objects.latest("pk").name.isprintable()
