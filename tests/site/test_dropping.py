"""Drop on the page in a real browser what people drop: pictures, folders, and what can't be read."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

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


def plan_of(page: Page) -> Locator:
    return page.locator("#uploads .plan")


def names_to_choose_from(page: Page) -> list[str]:
    page.get_by_role("button", name="Choose which").click()
    names = page.get_by_role("dialog").locator(".name").all_inner_texts()
    page.keyboard.press("Escape")
    return names


def test_a_folders_pictures_are_taken(owner_page: Page, shoot: Path) -> None:
    drop(owner_page, shoot)
    expect(plan_of(owner_page)).to_contain_text("2 pictures, 0.375 megapixels")
    expect(plan_of(owner_page)).to_contain_text("1 other file left out")
    expect(plan_of(owner_page).get_by_role("heading")).to_have_text("shoot")
    assert names_to_choose_from(owner_page) == ["cup.jpg", "cat.jpg"]


def test_a_folder_and_a_picture_beside_it(owner_page: Page, shoot: Path) -> None:
    drop(owner_page, PHOTOS / "astronaut.jpg", shoot / "day 2")
    expect(plan_of(owner_page)).to_contain_text("2 pictures")
    assert names_to_choose_from(owner_page) == ["astronaut.jpg", "cat.jpg"]


def test_a_folder_without_pictures_says_so(owner_page: Page, tmp_path: Path) -> None:
    empty = tmp_path / "taxes"
    empty.mkdir()
    (empty / "2026.txt").write_text("none")
    drop(owner_page, empty)
    notice = owner_page.locator("#uploads .notice")
    expect(notice).to_contain_text("no pictures")
    notice.get_by_role("button", name="Dismiss").click()
    expect(notice).to_have_count(0)


def test_more_files_than_the_browser_tells_at_once(owner_page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(130):
        (folder / f"{number}.png").write_text("no picture")
    drop(owner_page, folder)
    expect(owner_page.locator("#uploads")).to_contain_text("130 files: not a picture we can read")


def test_pictures_are_pasted(owner_page: Page) -> None:
    """As a screenshot is: the browser names it, and there is no file behind it."""
    owner_page.evaluate(
        """() => {
          const data = new DataTransfer();
          const canvas = document.createElement("canvas");
          return new Promise((resolve) => canvas.toBlob((blob) => {
            data.items.add(new File([blob], "image.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
            resolve();
          }));
        }"""
    )
    expect(plan_of(owner_page)).to_contain_text("1 picture, 0.045 megapixels")


def test_a_folder_is_chosen(owner_page: Page, shoot: Path) -> None:
    with owner_page.expect_file_chooser() as chooser:
        owner_page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(shoot)
    expect(plan_of(owner_page).get_by_role("heading")).to_have_text("shoot")
    expect(plan_of(owner_page).locator(".lead")).to_have_text(re.compile("^2 pictures"))


def test_discarded_pictures_leave_nothing(owner_page: Page, shoot: Path) -> None:
    drop(owner_page, shoot)
    plan_of(owner_page).get_by_role("button", name="Discard").click()
    expect(plan_of(owner_page)).to_have_count(0)
    owner_page.reload()
    expect(owner_page.locator(".recent")).to_have_count(0)
