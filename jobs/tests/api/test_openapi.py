"""The OpenAPI document as a page, and what its making by hand could get wrong."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from conftest import World
from jobs.api.openapi.document import document
from pixian.protocol.options import Options

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
    for (method, path), told in operations().items():
        assert f"{method.upper()} {path}" in page
        assert f'id="{told["operationId"]}"' in page
        assert told["summary"] in page
        for parameter in told["parameters"]:
            assert f"<code>{parameter['name']}</code>" in page
    for name, schema in document()["components"]["schemas"].items():
        assert f'id="shape-{name}"' in page
        assert schema.get("description", "") in page


def test_the_pages_links_lead_somewhere(page: str) -> None:
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_nothing_on_the_page_is_inline(page: str) -> None:
    assert not re.findall(r"<script(?![^>]*src=)|<style|style=|onclick=", page)


def test_operations_are_told_apart() -> None:
    ids = [told["operationId"] for told in operations().values()]
    assert len(ids) == len(set(ids)) == 12


def test_each_operation_says_which_scope_it_asks_for() -> None:
    scopes = {path: next(iter(told["security"][0].values())) for (_, path), told in operations().items()}
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
