"""The drop-in for remove.bg: its parameters, responses and errors, and a job for each call."""

import base64
import io
import json
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image
from pytest_django import Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from conftest import World, small_png
from jobs.api import removebg
from jobs.models import Job
from jobs.renditions.decode_limit import DecodeLimit
from jobs.tests import upstream as wire
from jobs.tests.api.programs import Program
from jobs.tests.upstream import Server
from pixian.imaging.decode import decode
from pixian.removebg.response import BYTES_PER_PIXEL

pytestmark = pytest.mark.both_databases

REMOVE = "/v1.0/removebg"


def cut_out() -> bytes:
    """8 × 4: the left half is red, a quarter half transparent blue, the rest empty."""
    image = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 4))
    image.paste((0, 0, 255, 128), (4, 0, 6, 4))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def shop(program: Program, server: Server) -> Iterator[httpx.Client]:
    """Yield a client with the key in remove.bg's header."""
    server.otherwise = wire.answer(cut_out())
    headers = {"X-Api-Key": program.credentials.api_key}
    with httpx.Client(
        base_url="http://localhost", transport=program.http._transport, headers=headers
    ) as http:
        yield http


def call(shop: httpx.Client, picture: bytes | None = None, **fields: Any) -> httpx.Response:
    headers = fields.pop("headers", {})
    files = {"image_file": ("photo.png", small_png() if picture is None else picture)}
    return shop.post(REMOVE, files=files, data=fields, headers=headers)


def test_results_that_are_made_at_once_share_the_memory_for_decoding(
    shop: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none is refused, since all are paid."""
    fits = BYTES_PER_PIXEL * 8 * 4
    monkeypatch.setattr(removebg, "DECODING", DecodeLimit(total=fits, share=fits, wait=0))
    decoding, most = Counter[str](), Counter[str]()

    def slowly(image: Image.Image) -> None:
        decoding["now"] += 1
        most["ever"] = max(most["ever"], decoding["now"])
        time.sleep(0.1)
        decoding["now"] -= 1
        decode(image)

    monkeypatch.setattr("pixian.removebg.response.decode", slowly)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: call(shop), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert most["ever"] == 1


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def error(answer: httpx.Response) -> tuple[int, str]:
    (only,) = answer.json()["errors"]
    assert only["title"]
    assert "X-Credits-Charged" not in answer.headers
    return answer.status_code, only["code"]


def sent_fields(server: Server) -> dict[str, str]:
    """Return the fields that the upstream got last."""
    parts = server.bodies[-1].split(b'form-data; name="')[1:]
    names = [part.partition(b'"')[0].decode() for part in parts]
    values = [part.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0] for part in parts]
    return {name: value.decode() for name, value in zip(names, values, strict=True) if name != "image"}


def test_a_call_is_a_job_and_its_answer_the_picture(
    committed_world: World, shop: httpx.Client, server: Server, settings: Settings
) -> None:
    settings.API_CALLS_PER_KEY = 10  # a place comes back after 6 s, and not while the call is made
    answer = call(shop, size="full", crop="true", crop_margin="5%")
    assert (answer.content, answer.headers["Content-Type"]) == (cut_out(), "image/png")
    told = {name: answer.headers[name] for name in ("X-Type", "X-Width", "X-Height", "X-Credits-Charged")}
    assert told == {"X-Type": "other", "X-Width": "8", "X-Height": "4", "X-Credits-Charged": "1"}
    box = [answer.headers[f"X-Foreground-{side}"] for side in ("Top", "Left", "Width", "Height")]
    assert box == ["0", "0", "6", "4"]
    assert "X-Max-Width" not in answer.headers
    assert int(answer.headers["X-RateLimit-Remaining"]) == int(answer.headers["X-RateLimit-Limit"]) - 1
    assert sent_fields(server) == {
        "output.format": "png",
        "result.crop_to_foreground": "true",
        "result.margin": "5% 5% 5% 5%",
    }
    job = Job.objects.get()
    assert (job.state, job.origin, job.name) == ("done", "drop_in", "photo.png")
    assert ledger.balances(committed_world.team) == Balances(available=99 * CREDIT, spent=CREDIT)


@pytest.mark.parametrize(
    ("charged", "told"), [("1.000000", "1"), ("0.250000", "0.25"), ("0", "0"), ("10.5", "10.5")]
)
def test_charges_are_told_in_as_few_digits_as_possible(
    shop: httpx.Client, server: Server, charged: str, told: str
) -> None:
    server.script.append(wire.answer(cut_out(), charged=charged))
    assert call(shop).headers["X-Credits-Charged"] == told


def test_a_small_size_shrinks_and_tells_what_there_could_be(shop: httpx.Client, server: Server) -> None:
    answer = call(shop, size="preview")
    assert sent_fields(server)["max_pixels"] == "250000"
    assert (answer.headers["X-Max-Width"], answer.headers["X-Max-Height"]) == ("1000", "1000")
    call(shop, size="4k")
    assert "max_pixels" not in sent_fields(server)


def test_a_zip_has_the_colour_and_the_alpha(shop: httpx.Client) -> None:
    answer = call(shop, format="zip")
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["color.jpg", "alpha.png"]
        color = Image.open(io.BytesIO(archive.read("color.jpg")))
        alpha = Image.open(io.BytesIO(archive.read("alpha.png")))
        assert (color.mode, alpha.mode, alpha.size) == ("RGB", "L", (8, 4))
        assert [alpha.getpixel((x, 0)) for x in (0, 4, 7)] == [255, 128, 0]
        assert max(color.getpixel((7, 2))) < 40  # type: ignore[arg-type]


def test_the_alpha_alone(shop: httpx.Client) -> None:
    image = opened(call(shop, channels="alpha", format="png"))
    assert (image.mode, [image.getpixel((x, 0)) for x in (0, 4, 7)]) == ("L", [255, 128, 0])


@pytest.mark.parametrize(
    ("color", "empty", "half"),
    [
        ("81d4fa", (0x81, 0xD4, 0xFA, 255), (64, 105, 252, 255)),
        ("#fff", (255, 255, 255, 255), (127, 127, 255, 255)),
        ("green", (0, 128, 0, 255), (0, 64, 128, 255)),
        ("ff000080", (255, 0, 0, 128), (85, 0, 170, 192)),
    ],
)
def test_a_colour_is_laid_behind(
    shop: httpx.Client, color: str, empty: tuple[int, ...], half: tuple[int, ...]
) -> None:
    image = opened(call(shop, bg_color=color, format="png")).convert("RGBA")
    assert image.getpixel((0, 0)) == (255, 0, 0, 255)
    for at, expected in (((7, 0), empty), ((4, 0), half)):
        found = image.getpixel(at)
        assert all(abs(a - b) <= 1 for a, b in zip(found, expected, strict=True)), found  # type: ignore[arg-type]


def test_auto_is_a_jpeg_where_nothing_is_transparent(shop: httpx.Client) -> None:
    assert opened(call(shop)).format == "PNG"
    assert opened(call(shop, bg_color="fff")).format == "JPEG"
    assert opened(call(shop, bg_color="ffffff80")).format == "PNG"
    assert min(opened(call(shop, format="jpg")).getpixel((7, 2))) > 240  # type: ignore[arg-type]


def test_json_is_read_and_written(shop: httpx.Client, server: Server) -> None:
    body = {"image_file_b64": base64.b64encode(small_png()).decode(), "crop": False, "scale": None}
    answer = shop.post(REMOVE, json=body, headers={"Accept": "application/json"})
    data = answer.json()["data"]
    assert base64.b64decode(data["result_b64"]) == cut_out()
    assert {name: data[f"foreground_{name}"] for name in ("top", "left", "width", "height")} == {
        "top": 0,
        "left": 0,
        "width": 6,
        "height": 4,
    }
    assert "result.crop_to_foreground" not in sent_fields(server)


def test_what_clients_leave_out_is_ignored(shop: httpx.Client) -> None:
    fields = {"bg_color": "undefined", "channels": "undefined", "roi": "undefined", "type": "car", "size": ""}
    assert call(shop, None, **fields).status_code == 200


def test_the_same_request_is_answered_alike(shop: httpx.Client, server: Server) -> None:
    key = {"Idempotency-Key": "a"}
    first = call(shop, format="zip", headers=key)
    again = call(shop, format="zip", headers=key)
    assert again.content == first.content
    assert again.headers["X-Credits-Charged"] == first.headers["X-Credits-Charged"]
    assert error(call(shop, format="png", headers=key)) == (409, "conflict")
    assert server.calls == 1


def test_the_account_is_the_teams(shop: httpx.Client) -> None:
    attributes = shop.get("/v1.0/account").json()["data"]["attributes"]
    assert attributes["credits"] == {"total": 100.0, "subscription": 0, "payg": 100.0, "enterprise": 0}
    assert attributes["api"]["sizes"] == "all"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"size": "huge"}, "invalid_size"),
        ({"format": "gif"}, "invalid_format"),
        ({"bg_color": "nocolour"}, "invalid_bg_color"),
        ({"channels": "rgb"}, "invalid_channels"),
        ({"crop": "maybe"}, "invalid_crop"),
        ({"crop": "true", "crop_margin": "-5px"}, "invalid_crop_margin"),
        ({"image_url": "https://example.org/a.jpg"}, "multiple_sources"),
    ],
)
def test_bad_parameters_are_named(shop: httpx.Client, fields: dict[str, str], code: str) -> None:
    assert error(call(shop, None, **fields)) == (400, code)
    assert not Job.objects.exists()


def test_errors_are_told_as_the_other_service_does(
    committed_world: World, program: Program, shop: httpx.Client, server: Server, settings: Settings
) -> None:
    assert error(shop.post(REMOVE, data={"size": "full"})) == (400, "missing_source")
    assert error(shop.post(REMOVE, data={"image_file": "photo.jpg"})) == (400, "missing_source")
    assert error(call(shop, b"no picture")) == (400, "failed_to_read_image")
    assert error(call(shop, bytes(31_457_281))) == (400, "file_too_large")
    assert error(shop.post(REMOVE, json=[1])) == (400, "invalid_body")
    assert error(shop.post(REMOVE, content=b"{", headers={"Content-Type": "application/json"}))[0] == 400
    assert error(shop.post(REMOVE, headers={"X-Api-Key": "wrong"})) == (403, "auth_failed")
    assert error(shop.get("/v1.0/nothing"))[0] == 404
    assert error(shop.get(REMOVE))[0] == 405
    server.script.append(wire.error(429, 1015, "Slow down", Retry_After="9"))
    slow = call(shop)
    assert (error(slow), slow.headers["Retry-After"]) == ((429, "rate_limit_exceeded"), "9")
    server.script.append(wire.error(500))
    assert error(call(shop)) == (500, "server_error")
    left = ledger.balances(committed_world.team).available
    ledger.adjust(committed_world.team, -left, key="x", actor=committed_world.alice, memo="for the test")
    broke = call(shop)
    assert error(broke) == (402, "insufficient_credits")
    assert broke.json()["errors"][0]["title"] == "Insufficient credits"


def test_a_test_is_free(committed_world: World, shop: httpx.Client, server: Server) -> None:
    server.script.append(wire.answer(cut_out(), charged="0.000000"))
    assert call(shop, test="true").headers["X-Credits-Charged"] == "0"
    assert sent_fields(server)["test"] == "true"
    assert ledger.balances(committed_world.team) == Balances(available=100 * CREDIT)


def test_any_page_may_call(shop: httpx.Client) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    preflight = shop.options(REMOVE, headers=asked)
    assert preflight.status_code == 204
    assert "X-Api-Key" in preflight.headers["Access-Control-Allow-Headers"]
    assert json.loads(shop.get("/v1.0/account").content)
