"""Styles in a real browser: live beside the picture, as presets, without scripts, by keyboard, in French."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Response, expect

from conftest import PHOTOS
from tests.site.conftest import fresh, login_link, page_on
from tests.site.instance import Instance
from tests.site.test_account_pages import looks_right

pytestmark = pytest.mark.browser

STILL = {"reduced_motion": "reduce"}
WITHIN_SECONDS = 60
PRESETS = "/t/my-team/presets/"


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """Return an instance whose team has one cut-out."""
    yield from fresh()


@pytest.fixture
def page(browser: Browser, instance: Instance) -> Iterator[Page]:
    with page_on(browser, instance, **STILL) as page:
        page.goto(login_link(instance))
        yield page


def cut_out(page: Page, instance: Instance) -> str:
    """Return the address of a picture that is cut out; it is uploaded if there is none."""
    if not instance.rows("SELECT id FROM jobs_job"):
        token = page.locator("[name=csrfmiddlewaretoken]").first.input_value()
        photo = {
            "name": "coffee.jpg",
            "mimeType": "image/jpeg",
            "buffer": (PHOTOS / "coffee.jpg").read_bytes(),
        }
        form: dict[str, Any] = {"csrfmiddlewaretoken": token, "image": photo}
        headers = {"Referer": instance.url + "/"}
        assert page.request.post("/t/my-team/upload/", multipart=form, headers=headers).ok
    until = time.monotonic() + WITHIN_SECONDS
    while not (done := instance.rows("SELECT id FROM jobs_job WHERE state = 'done'")):
        assert time.monotonic() < until
        time.sleep(0.2)
    return f"/t/my-team/jobs/{done[0][0]}/"


def styled(page: Page) -> Any:
    return page.locator("#stage [data-styled]")


def becomes(page: Page, width: int, height: int) -> None:
    """Wait until the picture that is shown has this shape."""
    until = time.monotonic() + WITHIN_SECONDS
    while not (styled(page).count() and abs(shape_of(page) - width / height) < 0.01):
        assert time.monotonic() < until
        time.sleep(0.05)


def shape_of(page: Page) -> float:
    return float(styled(page).evaluate("image => image.naturalWidth / image.naturalHeight"))


def is_preview(response: Response) -> bool:
    return "styled.webp" in response.url


def test_the_picture_follows_the_controls(page: Page, instance: Instance) -> None:
    page.goto(cut_out(page, instance))
    expect(page.locator("[data-compare]")).to_be_visible()
    with page.expect_response(is_preview) as first:
        page.get_by_label("Colour", exact=True).first.check(force=True)
    assert first.value.ok
    expect(styled(page)).to_be_visible()
    expect(page.locator("[data-compare]")).to_be_hidden()
    expect(page.locator("input[name=color]")).to_be_visible()
    expect(page.locator("input[name=blur]")).to_be_hidden()
    page.get_by_label("Soft").check(force=True)
    page.get_by_label("Crop to the subject").check()
    page.get_by_label("Width").fill("700")
    page.get_by_label("Height").fill("500")
    page.get_by_label("Margin").fill("10%")
    page.get_by_label("JPEG").check(force=True)
    expect(page.get_by_label("Quality")).to_be_visible()
    becomes(page, 700, 500)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download in this style").click()
    assert download.value.suggested_filename == "coffee-cutout.jpg"
    assert Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).size == (700, 500)


def test_the_plain_style_brings_the_slider_back_and_a_reload_keeps_the_style(
    page: Page, instance: Instance
) -> None:
    page.goto(cut_out(page, instance))
    page.get_by_label("Soft").check(force=True)
    expect(styled(page)).to_be_visible()
    page.get_by_label("None").last.check(force=True)
    expect(styled(page)).to_have_count(0)
    expect(page.locator("[data-compare]")).to_be_visible()
    page.get_by_label("Contact").check(force=True)
    expect(styled(page)).to_be_visible()
    page.reload()
    expect(page.get_by_label("Contact")).to_be_checked()
    expect(styled(page)).to_be_visible()


def type_at_once(page: Page, label: str, *values: str) -> None:
    """Type values one after the other, faster than any timer of the page."""
    page.get_by_label(label).evaluate(
        """(field, values) => values.forEach((value) => {
          field.value = value;
          field.dispatchEvent(new Event("input", { bubbles: true }));
        })""",
        list(values),
    )


def test_the_last_change_wins_and_the_others_are_given_up(page: Page, instance: Instance) -> None:
    page.goto(cut_out(page, instance))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "styled.webp" in request.url else None)
    type_at_once(page, "Width", "3", "34", "345")
    becomes(page, 345, 345)
    assert len(asked) == 1  # one for what was typed, not one for each digit
    with page.expect_request(lambda request: "styled.webp" in request.url):
        type_at_once(page, "Height", "500")
    type_at_once(page, "Height", "100")
    becomes(page, 345, 100)
    page.wait_for_load_state("networkidle")
    assert shape_of(page) > 3


def test_a_value_that_cannot_be_is_said_and_the_picture_stays(page: Page, instance: Instance) -> None:
    page.goto(cut_out(page, instance))
    page.get_by_label("Width").fill("300")
    expect(styled(page)).to_be_visible()
    page.get_by_label("Margin").fill("wide")
    expect(page.locator("#style [data-note]")).to_contain_text("“wide” isn't possible")
    expect(styled(page)).to_be_visible()
    page.get_by_label("Margin").fill("5%")
    expect(page.locator("#style [data-note]")).to_be_hidden()


def test_a_style_becomes_a_preset_which_others_begin_with(page: Page, instance: Instance) -> None:
    address = cut_out(page, instance)
    page.goto(address)
    page.get_by_label("Blurred original").check(force=True)
    page.get_by_label("Width").fill("640")
    expect(styled(page)).to_be_visible()
    page.get_by_role("link", name="Save as preset").click()
    page.get_by_label("Name").fill("Dreamy")
    expect(page.get_by_label("Width")).to_have_value("640")
    looks_right(page)
    page.get_by_role("button", name="Save preset").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The preset Dreamy is saved")
    looks_right(page)
    page.get_by_role("button", name="Copy Amazon, main image").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("one of your team's presets now")

    page.goto(address)
    with page.expect_response(is_preview) as shown:
        page.get_by_role("link", name="Amazon, main image").press("Enter")
    assert shown.value.ok
    expect(page.get_by_label("JPEG")).to_be_checked()
    expect(page.get_by_label("Width")).to_have_value("2000")
    looks_right(page)
    page.goto(f"{PRESETS}../recipes/new/")
    page.get_by_label("Name").fill("Shops")
    page.get_by_label("Dreamy").check()
    page.get_by_label("Amazon, main image").check()
    looks_right(page)
    page.get_by_role("button", name="Save recipe").click()
    expect(page.locator("main")).to_contain_text("Amazon, main image, Dreamy")


def test_a_background_of_ones_own(page: Page, instance: Instance, tmp_path: Path) -> None:
    address = cut_out(page, instance)
    wall = tmp_path / "wall.png"
    Image.new("RGB", (300, 200), (0, 120, 0)).save(wall)
    page.goto(PRESETS)
    page.get_by_label("Add a picture").set_input_files(wall)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("wall.png can be a background now")
    page.goto(address)
    page.get_by_label("Picture", exact=True).check(force=True)
    expect(page.get_by_label("Background picture")).to_have_value(
        page.locator("#id_backdrop option").first.get_attribute("value") or ""
    )
    expect(styled(page)).to_be_visible()
    looks_right(page)


def test_it_works_without_scripts(browser: Browser, instance: Instance) -> None:
    with page_on(browser, instance, java_script_enabled=False, **STILL) as page:
        page.goto(login_link(instance))
        page.goto(cut_out(page, instance))
        page.get_by_label("Contact").check(force=True)
        page.get_by_label("Width").fill("400")
        page.get_by_role("button", name="Show").click()
        expect(styled(page)).to_be_visible()
        assert page.request.get(styled(page).get_attribute("src") or "").ok
        link = page.get_by_role("link", name="Download in this style").get_attribute("href") or ""
        assert Image.open(io.BytesIO(page.request.get(link).body())).size == (400, 400)


def test_by_keyboard_alone_in_french_on_a_phone(browser: Browser, instance: Instance) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "locale": "fr-FR", "has_touch": True, **STILL}
    with page_on(browser, instance, **phone) as page:
        page.goto(login_link(instance))
        page.goto(cut_out(page, instance))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("#style input[name=background]").first.focus()
        with page.expect_response(is_preview) as shown:
            page.keyboard.press("ArrowRight")
        assert shown.value.ok
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "color"
        page.goto(PRESETS)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
