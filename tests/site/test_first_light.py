"""The main job, in a real browser on a whole instance: from the printed link to a settled cut-out."""

import io
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from conftest import PHOTOS
from tests.site.conftest import login_link, page_on, sign_out
from tests.site.instance import Instance

pytestmark = pytest.mark.browser

NAMES = ["astronaut", "chelsea", "coffee"]


@pytest.fixture
def drop(tmp_path: Path) -> list[Path]:
    """Drop three real photos and a text file with the name of a picture."""
    notes = tmp_path / "notes.jpg"
    notes.write_text("buy milk")
    return [*(PHOTOS / f"{name}.jpg" for name in NAMES), notes]


def test_from_the_link_to_the_cut_out(browser: Browser, fresh_instance: Instance, drop: list[Path]) -> None:
    with page_on(browser, fresh_instance) as page:
        cut_out_three(page, fresh_instance, drop)
    assert fresh_instance.books_add_up()
    settle = "SELECT SUM(amount_microcredits) FROM accounts_transfer WHERE kind = 'settle'"
    assert fresh_instance.rows(settle) == [(262_144 + 451 * 300 + 240_000,)]
    assert fresh_instance.rows("SELECT COUNT(*) FROM jobs_job") == [(3,)]


def cut_out_three(page: Page, instance: Instance, drop: list[Path]) -> None:
    page.goto(instance.link)
    expect(page).to_have_url(re.compile("/t/my-team/$"))

    choose(page, drop)
    plan = page.locator("#uploads .plan")
    expect(plan).to_contain_text("3 pictures, 0.637 megapixels · at most 0.637 credits · 10,000 available")
    expect(plan).to_contain_text("1 file: not a picture we can read")
    start(page, instance, 3)
    page.goto("/t/my-team/")
    expect(page.locator(".recent")).to_contain_text("3 of 3 done")
    expect(page.locator("#balance")).to_contain_text("9,999.36")

    (coffee,) = instance.rows("SELECT id FROM jobs_job WHERE name = 'coffee.jpg'")[0]
    page.goto(f"/t/my-team/jobs/{coffee}/")
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    expect(slider).to_have_value("60")
    assert page.locator("[data-compare]").get_attribute("style") == "--cut: 60%;"

    with page.expect_download() as download:
        page.get_by_role("link", name="Download the cut-out").click()
    assert download.value.suggested_filename == "coffee-cutout.png"
    has_a_real_matte(Path(download.value.path()).read_bytes())


def choose(page: Page, files: list[Path]) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files(files)


def start(page: Page, instance: Instance, count: int) -> None:
    """Start what was chosen, and wait until that many pictures are done."""
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#uploads")).to_contain_text("uploaded")
    for _ in range(600):
        if instance.rows("SELECT COUNT(*) FROM jobs_job WHERE state = 'done'") == [(count,)]:
            return
        page.wait_for_timeout(100)
    pytest.fail("the pictures weren't done in a minute")


def has_a_real_matte(png: bytes) -> None:
    """Return True if the corners are transparent, the subject is opaque, and the edge is in between."""
    with Image.open(io.BytesIO(png)) as cut_out:
        assert (cut_out.format, cut_out.mode, cut_out.size) == ("PNG", "RGBA", (600, 400))
        alpha = cut_out.getchannel("A")
        corners = [alpha.getpixel(at) for at in [(0, 0), (599, 0), (0, 399), (599, 399)]]
        assert corners == [0, 0, 0, 0]
        assert alpha.getpixel((280, 150)) == 255
        shades = alpha.histogram()
        assert 0 < sum(shades[1:255]) < 0.2 * sum(shades)


def test_the_link_works_once(page: Page, instance: Instance) -> None:
    link = login_link(instance)
    page.goto(link)
    sign_out(page)
    page.goto(link)
    expect(page.get_by_role("status")).to_contain_text("already been used or has expired")


def test_a_log_in_that_ran_out_goes_on_after_the_next_one(
    owner_page: Page, instance: Instance, drop: list[Path]
) -> None:
    """Log in again in another tab, as a person does, which makes the first one's token invalid too."""
    before = instance.rows("SELECT COUNT(*) FROM jobs_job")[0][0]
    choose(owner_page, drop[:1])
    expect(owner_page.locator("#uploads .plan")).to_be_visible()
    owner_page.context.clear_cookies()
    owner_page.get_by_role("button", name="Start", exact=True).click()
    expect(owner_page.get_by_role("link", name="Sign in in a new tab")).to_be_visible()
    tab = owner_page.context.new_page()
    tab.goto(login_link(instance))
    owner_page.bring_to_front()
    expect(owner_page.locator("#uploads")).to_contain_text("1 picture is uploaded.")
    assert instance.rows("SELECT COUNT(*) FROM jobs_job") == [(before + 1,)]


def test_without_scripts_a_form_does_the_same(browser: Browser, instance: Instance, drop: list[Path]) -> None:
    with page_on(browser, instance, java_script_enabled=False) as page:
        page.goto(login_link(instance))
        page.set_input_files("#image", drop[2:])
        page.get_by_role("button", name="Remove backgrounds").click()
        expect(page.locator("main")).to_contain_text("notes.jpg")
        expect(page.locator("main")).to_contain_text("coffee.jpg")


def have_a_cut_out(page: Page, instance: Instance, drop: list[Path]) -> None:
    if not instance.rows("SELECT 1 FROM jobs_job WHERE name = 'chelsea.jpg'"):
        choose(page, drop[1:2])
        others = instance.rows("SELECT COUNT(*) FROM jobs_job")[0][0]
        start(page, instance, others + 1)


def test_pages_are_accessible(owner_page: Page, instance: Instance, drop: list[Path]) -> None:
    have_a_cut_out(owner_page, instance, drop)
    look_at_pages(owner_page)


def look_at_pages(owner_page: Page) -> None:
    for address in ("/t/my-team/", "/t/my-team/history/", "/t/my-team/jobs/1/", "/t/my-team/jobs/99999/"):
        owner_page.goto(address)
        passes_axe_in_both_themes(owner_page)
    sign_out(owner_page)
    passes_axe(owner_page)


def passes_axe(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"


def passes_axe_in_both_themes(page: Page) -> None:
    """Look at all in light, and in dark at the contrast: a theme changes colours and nothing else."""
    page.emulate_media(color_scheme="light")
    passes_axe(page)
    page.emulate_media(color_scheme="dark")
    found = page.evaluate("axe.run({runOnly: ['color-contrast']})")
    assert found["violations"] == [], page.url
    page.emulate_media(color_scheme="light")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out(owner_page: Page, instance: Instance, width: int, drop: list[Path]) -> None:
    owner_page.set_viewport_size({"width": width, "height": 800})
    have_a_cut_out(owner_page, instance, drop)
    for address in ("/t/my-team/", "/t/my-team/history/", "/t/my-team/jobs/1/"):
        owner_page.goto(address)
        wide = owner_page.locator("html").evaluate_handle("e => e.scrollWidth").json_value()
        assert wide <= width, address
