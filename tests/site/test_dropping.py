"""What people drop on the page in a real browser: pictures, folders, and what can't be read."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from conftest import PHOTOS

pytestmark = pytest.mark.browser


def drop(page: Page, *paths: Path) -> None:
    """Drop files as the system's file manager does, which no script of a page can imitate."""
    wire = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        wire.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": dragged})


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """Make a folder with a picture, another one in a folder below, and a file that is no picture."""
    folder = tmp_path / "shoot"
    (folder / "day 2").mkdir(parents=True)
    shutil.copy(PHOTOS / "coffee.jpg", folder / "cup.jpg")
    shutil.copy(PHOTOS / "chelsea.jpg", folder / "day 2" / "cat.jpg")
    (folder / "notes.txt").write_text("buy milk")
    (folder / ".hidden").write_bytes(b"\0")
    return folder


def test_a_folders_pictures_are_taken(owner_page: Page, shoot: Path) -> None:
    drop(owner_page, shoot)
    expect(owner_page.locator("#batch .tile")).to_have_count(2)
    for name in ("cup.jpg", "cat.jpg"):
        expect(owner_page.locator("#batch .tile", has_text=name)).to_have_count(1)
    expect(owner_page.locator("[data-pending] .tile")).to_have_count(0)


def test_a_folder_and_a_picture_beside_it(owner_page: Page, shoot: Path) -> None:
    drop(owner_page, PHOTOS / "astronaut.jpg", shoot / "day 2")
    expect(owner_page.locator("#batch .tile")).to_have_count(2)
    expect(owner_page.locator("#batch .tile", has_text="astronaut.jpg")).to_have_count(1)


def test_a_folder_without_pictures_says_so(owner_page: Page, tmp_path: Path) -> None:
    empty = tmp_path / "taxes"
    empty.mkdir()
    (empty / "2026.txt").write_text("none")
    drop(owner_page, empty)
    tile = owner_page.locator("[data-pending] .tile")
    expect(tile).to_contain_text("taxes")
    expect(tile).to_contain_text("no pictures")
    expect(tile.get_by_role("button", name="Retry")).to_be_hidden()
    tile.get_by_role("button", name="Dismiss").click()
    expect(tile).to_have_count(0)


def test_more_files_than_the_browser_tells_at_once(owner_page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(130):
        (folder / f"{number}.png").write_text("no picture")
    drop(owner_page, folder)
    expect(
        owner_page.locator("[data-pending] .tile.refused", has_text="a picture we can read")
    ).to_have_count(130)


def test_a_file_that_changed_meanwhile_is_no_broken_connection(owner_page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    shutil.copy(PHOTOS / "coffee.jpg", photo)
    owner_page.route("**/upload/", lambda route: route.fulfill(status=401, body="signed out"))
    drop(owner_page, photo)
    tile = owner_page.locator("[data-pending] .tile")
    expect(tile).to_contain_text("signed out")
    owner_page.unroute("**/upload/")
    photo.unlink()
    tile.get_by_role("button", name="Retry").click()
    expect(tile).to_contain_text("cannot be read")
    expect(tile).not_to_contain_text("connection")
