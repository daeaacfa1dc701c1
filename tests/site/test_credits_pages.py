"""Credits in a real browser: ask on one, grant on another, and the bar and its menu on any screen."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import login_link, page_on
from tests.site.instance import Instance
from tests.site.test_account_pages import looks_right

pytestmark = pytest.mark.browser

STILL = {"reduced_motion": "reduce"}
DORA = "dora@example.org"
CREDITS = "/t/my-team/credits/"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def dora(instance: Instance) -> str:
    """Let a member in who doesn't run the site."""
    instance.manage(
        "shell",
        "-c",
        "from accounts.models import *; t = Team.objects.get(); "
        f"Membership.objects.create(team=t, user=User.objects.create_user('{DORA}'), role=2)",
    )
    return DORA


def test_asked_on_one_browser_granted_on_another(browser: Browser, instance: Instance, dora: str) -> None:
    with page_on(browser, instance, **STILL) as member, page_on(browser, instance, **STILL) as owner:
        member.goto(instance.manage("login_link", dora).strip())
        member.goto(CREDITS)
        expect(member.locator("main")).to_contain_text("The people who run this site add credits: owner@")
        looks_right(member)
        member.get_by_role("textbox", name="Credits").fill("40,5")
        member.get_by_label("Note").fill("<b>shoes</b>")
        member.get_by_role("button", name="Ask for credits").click()
        expect(member.get_by_role("status")).to_contain_text("You asked for 40.5 credits")
        looks_right(member)

        owner.goto(login_link(instance))
        expect(owner.locator(".count")).to_have_text(["1", "1"])  # for credits, and for a review
        owner.goto(CREDITS)
        looks_right(owner)
        asked = owner.locator(".credit-request")
        expect(asked).to_contain_text("“<b>shoes</b>”")
        expect(asked.get_by_label("Credits")).to_have_value("40.5")
        asked.get_by_role("button", name="Decline").click()
        expect(owner.get_by_role("alert")).to_contain_text("Say why")
        owner.locator(".credit-request").get_by_role("button", name="Grant").click()
        expect(owner.get_by_role("status")).to_contain_text("40.5 credits granted")
        expect(owner.locator(".count")).to_have_count(0)
        looks_right(owner)

        member.reload()
        expect(member.locator("main")).to_contain_text("40.5 granted by owner@localhost")
        expect(member.locator("#balance")).to_contain_text("10,04")


def test_staff_grant_with_the_keyboard_alone(browser: Browser, instance: Instance) -> None:
    """Without scripts too."""
    with page_on(browser, instance, java_script_enabled=False) as page:
        page.goto(login_link(instance))
        page.goto(CREDITS)
        before = available(page)
        page.locator("#id_credits").fill("2.5")
        page.locator("#id_credits").press("Enter")
        expect(page.get_by_role("status")).to_contain_text("2.5 credits granted")
        assert available(page) - before == 2.5


def available(page: Page) -> float:
    return float(page.locator(".figures dd").first.inner_text().replace(",", ""))


def test_the_menu_opens_and_closes_with_the_keyboard(owner_page: Page) -> None:
    menu, panel = owner_page.locator(".menu > summary"), owner_page.locator(".menu .panel")
    menu.press("Enter")
    expect(panel).to_be_visible()
    for name in ("Account", "API keys", "Administration"):
        expect(panel.get_by_role("link", name=name, exact=True)).to_be_visible()
    looks_right(owner_page)
    panel.get_by_role("link", name="Account").press("Escape")
    expect(panel).to_be_hidden()
    expect(menu).to_be_focused()
    menu.press("Enter")
    owner_page.locator("main").click(position={"x": 5, "y": 5})
    expect(panel).to_be_hidden()
    menu.press("Enter")
    owner_page.keyboard.press("Shift+Tab")
    expect(panel).to_be_hidden()


def test_a_theme_is_there_from_the_first_byte(owner_page: Page) -> None:
    def paper() -> str:
        color: str = owner_page.evaluate("getComputedStyle(document.body).backgroundColor")
        return color

    owner_page.emulate_media(color_scheme="light")
    light = paper()
    owner_page.locator(".menu > summary").click()
    owner_page.get_by_role("button", name="Dark").click()
    expect(owner_page).to_have_url(re.compile("/t/my-team/$"))
    assert paper() != light
    assert 'data-theme="dark"' in owner_page.request.get("/t/my-team/").text()
    owner_page.goto(CREDITS)
    assert paper() != light
    looks_right(owner_page)
    owner_page.locator(".menu > summary").click()
    expect(owner_page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    owner_page.get_by_role("button", name="System").click()
    expect(owner_page.locator("html")).not_to_have_attribute("data-theme", "dark")


def test_on_a_phone_the_five_pages_are_at_the_bottom(browser: Browser, instance: Instance) -> None:
    with page_on(browser, instance, viewport=PHONE, has_touch=True, **STILL) as page:
        page.goto(login_link(instance))
        for language, names in (("Français", ENGLISH), ("English", FRENCH)):
            for name in names:
                page.get_by_role("navigation").get_by_role("link", name=name, exact=True).tap()
                expect(page.locator(".pages-of-team [aria-current=page]")).to_have_text(name)
                fits(page)
            page.locator(".menu > summary").tap()
            fits(page)
            page.get_by_role("button", name=language).tap()


ENGLISH = ("Workspace", "History", "Credits", "Team", "API")
FRENCH = ("Atelier", "Historique", "Crédits", "Équipe", "API")


def fits(page: Page) -> None:
    """Check that nothing is cut off: the header is one line, and the pages' names are whole."""
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], page.url
    assert page.locator("header.bar").bounding_box()["height"] < 64  # type: ignore[index]
    bar = page.locator(".pages-of-team").bounding_box()
    assert bar
    assert round(bar["y"] + bar["height"]) == PHONE["height"]
    cut = (
        "[...document.querySelectorAll('.pages-of-team a')].filter(a => a.scrollWidth > a.clientWidth).length"
    )
    assert page.evaluate(cut) == 0, page.url
