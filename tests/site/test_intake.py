"""Hundreds of pictures taken in by a real browser: before it starts, while it uploads, and what can go wrong."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from conftest import PHOTOS, small_png
from tests.site.intake_server import IntakeServer
from tests.site.test_dropping import drop

pytestmark = pytest.mark.browser


@pytest.fixture
def server(owner_page: Page) -> IntakeServer:
    """Answer the intake's requests on the owner's page."""
    return IntakeServer(owner_page).start()


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """Make a nested folder of thirty small photos and some files beside them."""
    folder = tmp_path / "Autumn shoes"
    for number in range(30):
        below = folder / ("red" if number % 2 else "red/high heels")
        below.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + number, 30), (number, 99, 99)).save(below / f"SKU-{number}.jpg")
    for name in ("notes.txt", "price list.pdf", "red/.DS_Store"):
        (folder / name).write_text("no picture")
    return folder


def plan_of(page: Page) -> object:
    return page.locator("#uploads .plan")


def test_a_folder_is_priced_before_anything_starts(owner_page: Page, server: IntakeServer, shoot: Path) -> None:
    drop(owner_page, shoot)
    plan = owner_page.locator("#uploads .plan")
    expect(plan.get_by_role("heading")).to_have_text("Autumn shoes")
    expect(plan).to_contain_text("30 pictures")
    expect(plan).to_contain_text("about 24 credits, at most 30 · 99 available")
    expect(plan).to_contain_text("2 other files left out")
    assert server.uploads == []
    assert list(server.batches.values()) == ["Autumn shoes"]
    files = sorted(server.files.values(), key=lambda file: file["number"])
    assert [file["number"] for file in files] == [*range(1, 31)]
    assert {file["folder"] for file in files} == {"Autumn shoes/red", "Autumn shoes/red/high heels"}
    assert [file["name"] for file in files][:3] == ["SKU-1.jpg", "SKU-3.jpg", "SKU-5.jpg"]
    owner_page.screenshot(path=os.environ.get("SHOTS", "/tmp") + "/plan.png")

    plan.get_by_role("button", name="Start", exact=True).click()
    expect(owner_page.locator("#uploads")).to_contain_text("All 30 pictures are uploaded.")
    expect(owner_page).to_have_url(re.compile("/batches/[0-9a-f-]{36}/$"))
    expect(owner_page).to_have_title("A batch")
    assert sorted(server.uploads) == sorted(server.files)
    owner_page.screenshot(path=os.environ.get("SHOTS", "/tmp") + "/uploaded.png")
