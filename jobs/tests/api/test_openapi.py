"""The OpenAPI document as a page, and that what is written by hand in it says what the code does."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from conftest import World
from jobs.api.openapi.document import document
from jobs.api.requests import MAX_IDEMPOTENCY_KEY
from jobs.calls.responses import RELAYED
from pixian.protocol import options, version_1
from pixian.protocol.limits import MAX_RESULT_PIXELS, MAX_UPLOAD_BYTES, MAX_UPLOAD_PIXELS
from pixian.protocol.margin import ALLOWED as MARGINS
from pixian.protocol.options import NAMES, PIXELS_CAP, QUALITY, Options
from pixian.removebg import errors as removebg_errors
from pixian.removebg import options as removebg_options
from pixian.removebg.options import RemovebgOptions
from pixian.removebg.request import MAX_TEXT_BYTES
from pixian.removebg.response import TYPES
from pixian.server.form import FORMS
from pixian.server.image_source import MAX_BASE64_TEXT, SOURCES

METHODS = ("get", "post")


def operations() -> dict[tuple[str, str], Any]:
    return {
        (method, path): item[method]
        for path, item in document()["paths"].items()
        for method in METHODS
        if method in item
    }


def properties(path: str, kind: str) -> dict[str, Any]:
    content = document()["paths"][path]["post"]["requestBody"]["content"]
    found: dict[str, Any] = content[kind]["schema"]["properties"]
    return found


@pytest.fixture
def page(db: None, client: Client) -> str:
    return unescape(client.get("/api/docs").content.decode())


def test_anybody_may_read_the_page(db: None, client: Client) -> None:
    response = client.get("/api/docs")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")


def test_whoever_is_logged_in_reads_it_too(world: World, client: Client) -> None:
    client.force_login(world.vera)
    assert client.get("/api/docs").status_code == 200


def test_the_page_tells_all_of_the_document(page: str) -> None:
    for (method, path), described in operations().items():
        assert f"{method.upper()} {path}" in page
        assert f'id="{described["operationId"]}"' in page
        assert described["summary"] in page
        for parameter in described["parameters"]:
            assert f"<code>{parameter['name']}</code>" in page
    for name, schema in document()["components"]["schemas"].items():
        assert f'id="schema-{name}"' in page
        assert schema.get("description", "") in page


def test_the_pages_links_lead_somewhere(page: str) -> None:
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_nothing_on_the_page_is_inline(page: str) -> None:
    assert not re.findall(r"<script(?![^>]*src=)|<style|style=|onclick=", page)


def test_operations_are_told_apart() -> None:
    ids = [described["operationId"] for described in operations().values()]
    assert len(ids) == len(set(ids)) == 12


def test_each_operation_says_which_scope_it_asks_for() -> None:
    scopes = {path: next(iter(each["security"][0].values())) for (_, path), each in operations().items()}
    assert scopes["/api/v2/remove-background"] == scopes["/v1.0/removebg"] == ["cutouts"]
    assert scopes["/api/balance"] == scopes["/api/v2/account"] == scopes["/v1.0/account"] == ["balance"]
    assert scopes["/api/jobs"] == scopes["/api/jobs/{job_id}/result"] == ["jobs"]
    assert scopes["/api/ledger"] == scopes["/api/usage"] == ["ledger"]


@pytest.mark.parametrize("kind", ["multipart/form-data", "application/x-www-form-urlencoded"])
def test_the_options_are_the_contracts(kind: str) -> None:
    """By the code: each option with its default, and none that the code doesn't read."""
    told = properties("/api/v2/remove-background", kind)
    options = {name: value for name, value in told.items() if not name.startswith("image")}
    assert options.keys() == Options()._form_fields().keys()
    defaults = {name: str(value["default"]).lower() for name, value in options.items() if "default" in value}
    assert Options.parse(defaults) == Options()


def test_a_forms_fields_are_the_contracts() -> None:
    names = {*SOURCES, *NAMES}
    old = {new: old for old, new in version_1.NAMES.items()}
    assert properties("/api/v2/remove-background", FORMS[0]).keys() == names
    assert properties("/api/v2/remove-background", FORMS[1]).keys() == names - {"image"}
    assert properties(version_1.PATH, FORMS[0]).keys() == {old.get(name, name) for name in names}
    theirs = set(removebg_errors.PARAMETERS) - {"body"}
    assert properties("/v1.0/removebg", FORMS[0]).keys() == theirs
    assert properties("/v1.0/removebg", "application/json").keys() == theirs - {"image_file"}


def test_bounds_are_the_contracts() -> None:
    fields = properties("/api/v2/remove-background", FORMS[0])
    assert fields["image.base64"]["maxLength"] == MAX_BASE64_TEXT
    bounded = {name: field for name, field in fields.items() if "minimum" in field}
    bounds = {name: (field["minimum"], field["maximum"]) for name, field in bounded.items()}
    assert bounds == {"max_pixels": PIXELS_CAP, "output.jpeg_quality": QUALITY}
    assert fields["output.format"]["enum"] == list(options.Format)
    assert fields["result.vertical_alignment"]["enum"] == list(options.Alignment)
    for name, figure in (("image", MAX_UPLOAD_BYTES), ("image", MAX_UPLOAD_PIXELS)):
        assert f"{figure:,}" in fields[name]["description"]
    assert f"{MAX_RESULT_PIXELS:,}" in fields["result.target_size"]["description"]
    assert MARGINS in fields["result.margin"]["description"]
    (key,) = document()["paths"]["/api/v2/remove-background"]["post"]["parameters"]
    assert key["schema"]["maxLength"] == MAX_IDEMPOTENCY_KEY


def test_bounds_of_the_drop_in_are_its_own() -> None:
    fields = properties("/v1.0/removebg", FORMS[0])
    assert fields["size"]["enum"] == list(removebg_options.SIZES)
    for name, pixels in removebg_options.SIZES.items():
        assert f"{name} {pixels:,}" in fields["size"]["description"]
    assert fields["format"]["enum"] == list(removebg_options.Format)
    assert fields["channels"]["enum"] == list(removebg_options.Channels)
    assert f"{MAX_UPLOAD_BYTES:,}" in fields["image_file"]["description"]
    assert f"{MAX_TEXT_BYTES:,}" in fields["image_file_b64"]["description"]
    defaults = {name: str(field["default"]).lower() for name, field in fields.items() if "default" in field}
    assert RemovebgOptions.parse(defaults) == RemovebgOptions()


def test_responses_are_the_contracts() -> None:
    def ok(path: str) -> Any:
        return document()["paths"][path]["post"]["responses"]["200"]

    assert ok("/api/v2/remove-background")["headers"].keys() == {*RELAYED, "Content-Disposition"}
    v1 = {*RELAYED, "Content-Disposition", *version_1.DEPRECATED}
    assert ok(version_1.PATH)["headers"].keys() == v1
    assert ok("/v1.0/removebg")["content"].keys() == {*TYPES.values(), "application/json"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("result.margin", ["0", "10px", "5% 2.5%", "1px 2px 3px 4px", ".5px"], ["-1px", "5", "1px,2px", ""]),
        ("result.target_size", ["1920 1080", "1 1"], ["1920", "0 5", "1920x1080", "1 2 3"]),
        ("background.color", ["#FFFFFF", "#0a1b2c"], ["FFFFFF", "#FFF", "red"]),
    ],
)
def test_patterns_say_what_the_code_reads(name: str, good: list[str], bad: list[str]) -> None:
    pattern = properties("/api/v2/remove-background", "multipart/form-data")[name]["pattern"]
    for text in good:
        assert re.search(pattern, text)
        assert Options.parse({name: text}) != Options() or text == "0"
    for text in bad:
        assert not re.search(pattern, text)


@pytest.mark.parametrize("address", ["/api/日本", "/api/jobs/写真", "/api/v2/écran€", "/v1.0/🐈"])
def test_an_address_in_any_script_is_answered_in_an_envelope(db: None, client: Client, address: str) -> None:
    """Found by made-up calls: what had been decoded was decoded once more."""
    answer = client.get(address)
    assert answer.status_code in (401, 404)
    assert answer.json().keys() <= {"error", "errors"}
