"""The OpenAPI document, and a whole instance that is called by it."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import schemathesis
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.urls import URLResolver
from playwright.sync_api import Browser

from conftest import small_png
from jobs.api import urls
from jobs.api.openapi.document import document
from pixian.protocol.credentials import Credentials
from tests.site.conftest import page_on
from tests.site.instance import Instance, running

# Limits would end the trial early; addresses that it makes up are refused before anybody is asked.
SETTINGS = {
    "API_CALLS_PER_KEY": "0",
    "API_CALLS_PER_TEAM": "0",
    "API_GUESSES_PER_ADDRESS": "0",
    "FETCH_PORTS": "9",
}
TOLD_BY_ITSELF = {"/api/openapi.json", "/api/docs"}
TRIED = Path(sys.executable).with_name("schemathesis")
HOW = ["--generation-deterministic", "--suppress-health-check", "all", "--no-color", "--warnings", "off"]


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with (
        tempfile.TemporaryDirectory(prefix="pixian-") as folder,
        running(Path(folder), **SETTINGS) as instance,
    ):
        yield instance


@pytest.fixture(scope="module")
def key(instance: Instance) -> Credentials:
    """Return the key of a team with a finished picture."""
    team = ("Tried", "--owner", "tried@example.org", "--credits", "1000", "--api-key", "trial")
    made = json.loads(instance.manage("setup_team", *team))
    key = Credentials(made["api_id"], made["api_secret"])
    auth = (key.api_id, key.api_secret)
    # The engine's first picture takes long where the machine has much to do.
    with httpx.Client(base_url=instance.url, auth=auth, timeout=60, trust_env=False) as http:
        http.post("/api/v2/remove-background", files={"image": small_png(9, 9)}).raise_for_status()
    return key


def tried(folder: Path, key: Credentials, *more: str) -> subprocess.CompletedProcess[str]:
    """Make up calls by a document, in all ways that it allows and some that it doesn't."""
    command = [str(TRIED), "run", *more, *HOW, "--auth", f"{key.api_id}:{key.api_secret}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=150)


def assert_all_is_as_described(folder: Path, key: Credentials, instance: Instance, *more: str) -> Any:
    """Assert this, and that each operation succeeded at least once, so that not only errors were compared."""
    address = f"{instance.url}/api/openapi.json"
    done = tried(folder, key, address, "--report", "json", "--report-json-path", "report", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((folder / "report").read_text())
    accepted = {
        name: sum(phase["accepted"] for phase in phases.values())
        for name, phases in report["valid_rates"].items()
    }
    assert all(accepted.values()), accepted
    return accepted


def test_reading_is_as_described(instance: Instance, key: Credentials, tmp_path: Path) -> None:
    more = ("--include-method", "GET", "--max-examples", "5", "--exclude-checks", "negative_data_rejection")
    accepted = assert_all_is_as_described(tmp_path, key, instance, *more)
    assert len(accepted) == 9
    assert instance.books_add_up()


def test_sending_is_as_described(instance: Instance, key: Credentials, tmp_path: Path) -> None:
    """Compare the responses alone.

    A form's empty field counts as absent, and no schema says what a picture is, so no call is wrong for sure.
    """
    spared = "negative_data_rejection,positive_data_acceptance"
    more = ("--include-method", "POST", "--phases", "coverage,fuzzing", "--exclude-checks", spared)
    accepted = assert_all_is_as_described(tmp_path, key, instance, *more, "--max-examples", "4")
    assert len(accepted) == 3
    assert instance.books_add_up()


def test_a_wrong_description_is_seen(instance: Instance, key: Credentials, tmp_path: Path) -> None:
    """The control."""
    wrong = json.loads(json.dumps(document()))
    wrong["components"]["schemas"]["Balance"]["properties"]["available"] = {"type": "integer"}
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    once = ("--include-path", "/api/balance", "--phases", "coverage")
    done = tried(tmp_path, key, "wrong.json", "--url", instance.url, *once)
    assert done.returncode == 1
    assert "Response violates schema" in done.stdout


def test_the_instance_gives_the_document_to_anybody(instance: Instance) -> None:
    answer = httpx.get(f"{instance.url}/api/openapi.json", trust_env=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == document() | {"servers": [{"url": instance.url}]}


def test_the_document_is_valid() -> None:
    """Validate it by the standard's own schema for 3.1, and each of its schemas by JSON Schema's."""
    schemathesis.openapi.from_dict(document()).validate()


def test_whatever_is_referred_to_is_there() -> None:
    text = json.dumps(document())
    for address in set(re.findall(r'"#/([^"]+)"', text)):
        found: Any = document()
        for part in address.split("/"):
            found = found[part]


def test_every_component_is_referred_to() -> None:
    text = json.dumps(document())
    for kind in ("schemas", "headers"):
        unused = [n for n in document()["components"][kind] if f'"#/components/{kind}/{n}"' not in text]
        assert unused == []


def addresses(patterns: Iterable[Any], above: str = "/") -> Iterator[str]:
    """Yield paths as the document writes them, without the catch-all ones."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, above + str(pattern.pattern))
        elif not str(pattern.pattern).startswith("^"):
            yield above + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))


def test_every_route_for_programs_is_in_the_document() -> None:
    routes = set(addresses(urls.urlpatterns))
    assert routes - set(document()["paths"]) == TOLD_BY_ITSELF
    assert set(document()["paths"]) <= routes


def test_it_is_served_where_people_find_it() -> None:
    assert document()["servers"] == [{"url": settings.PUBLIC_URL}]


@pytest.mark.browser
def test_the_page_is_accessible(browser: Browser, instance: Instance) -> None:
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    with page_on(browser, instance) as page:
        page.goto("/api/docs")
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
            assert found.violations_count == 0, found.generate_report()
        page.set_viewport_size({"width": 360, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
