"""Keys and the page for programs in a real browser: made by the keyboard, copied, and how each page looks."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import login_link, page_on
from tests.site.instance import Instance
from tests.site.test_account_pages import looks_right

pytestmark = pytest.mark.browser

STILL = {"reduced_motion": "reduce"}
KEYS, PROGRAMS = "/t/my-team/keys/", "/t/my-team/api/"


def make(page: Page, name: str) -> None:
    page.goto(KEYS)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Name").press("Enter")
    expect(page.locator("h1")).to_contain_text(name)


def copied(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_key_is_created_copied_and_filled_into_the_samples(browser: Browser, instance: Instance) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with page_on(browser, instance, permissions=allowed, **STILL) as page:
        page.goto(login_link(instance))
        make(page, "Web shop")
        looks_right(page)
        both = page.get_by_label("Id and secret").input_value()
        page.get_by_role("button", name="Copy").first.click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert copied(page) == both
        page.goto(PROGRAMS)
        page.get_by_role("button", name="Copy").first.click()
        api_id, secret = both.split(":")
        assert f"-u {api_id}:YOUR_API_SECRET" in copied(page)
        assert instance.url in copied(page)
        looks_right(page)
        page.goto(KEYS)
        assert secret not in page.content()
    assert secret not in (instance.data_dir / "log").read_text()


def test_keys_are_limited_and_revoked_without_scripts(browser: Browser, instance: Instance) -> None:
    with page_on(browser, instance, java_script_enabled=False, **STILL) as page:
        page.goto(login_link(instance))
        make(page, "Archive")
        page.goto(KEYS)
        archive = page.locator(".person", has=page.get_by_text("Archive", exact=True))
        archive.get_by_role("link", name="Allowance").click()
        page.get_by_label("Credits").fill("2.5")
        page.get_by_role("button", name="Set allowance").click()
        expect(archive).to_contain_text("0 of 2.5 credits used")
        archive.locator("summary").press("Enter")
        archive.get_by_role("button", name="Revoke Archive").press("Enter")
        expect(page.get_by_role("status")).to_contain_text("no longer works")
        page.get_by_text("1 inactive key").click()
        expect(archive).to_contain_text("revoked by owner@localhost")


def test_the_keys_are_accessible_on_any_screen(browser: Browser, instance: Instance) -> None:
    with page_on(browser, instance, **STILL) as page:
        page.goto(login_link(instance))
        make(page, "A key with a rather long name, by which the whole archive is cut out at night")
        page.goto(KEYS)
        page.locator(".person summary").first.press("Enter")
        looks_right(page)
        page.get_by_role("link", name="Allowance").first.click()
        looks_right(page)
