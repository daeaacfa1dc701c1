"""A team's pages in a real browser: inviting and joining without scripts or mail, and how each page looks."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import login_link, page_on
from tests.site.instance import Instance
from tests.site.test_account_pages import looks_right

pytestmark = pytest.mark.browser

PASSWORD = "a rather long sentence"
STILL = {"reduced_motion": "reduce"}


def invite(page: Page, email: str) -> str:
    """Invite someone and return the link that is shown."""
    page.goto("/t/my-team/team/")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Invite", exact=True).click()
    return page.get_by_label("Link").input_value()


def allow(page: Page, email: str, credits_: str) -> None:
    page.get_by_role("link", name=f"Allowance for {email}").click()
    page.get_by_label("Credits").fill(credits_)
    looks_right(page)
    page.get_by_role("button", name="Set allowance").click()


def test_an_invitation_brings_someone_in(browser: Browser, instance: Instance) -> None:
    with page_on(browser, instance, **STILL) as owner:
        owner.goto(login_link(instance))
        link = invite(owner, "dora@example.org")
        looks_right(owner)
        with page_on(browser, instance, java_script_enabled=False) as dora:
            join(dora, link)
        owner.goto("/t/my-team/team/")
        allow(owner, "dora@example.org", "0.25")
        doras = owner.locator(".person", has_text="dora@example.org")
        expect(doras).to_contain_text("0 of 0.25 credits used")
    log = (instance.data_dir / "log").read_text()
    assert "/join/…/" in log
    assert link.split("/")[-2] not in log


def join(page: Page, link: str) -> None:
    """Join by the link, switching languages on a page whose address no other page learns."""
    page.goto(link)
    page.get_by_role("button", name="Français").click()
    page.get_by_role("button", name="English").click()
    expect(page).to_have_url(link)
    page.get_by_label("Your name").fill("Dora")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Join the team").click()
    expect(page.get_by_role("alert")).to_contain_text("too short")
    expect(page.get_by_label("Your name")).to_have_value("Dora")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join the team").click()
    expect(page).to_have_url(re.compile("/t/my-team/$"))
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_contain_text("no longer valid")


def test_the_pages_are_accessible_on_any_screen(browser: Browser, instance: Instance) -> None:
    with page_on(browser, instance, **STILL) as page:
        page.goto(login_link(instance))
        page.goto("/teams/new/")
        looks_right(page)
        page.get_by_label("Name").fill("A second team with a rather long name")
        page.get_by_role("button", name="Create team").click()
        looks_right(page)
        links = [invite(page, f"{name}@example.org") for name in ("erik", "fritz")]
        with page_on(browser, instance, **STILL) as stranger:
            stranger.goto(links[0])
            looks_right(stranger)
            stranger.get_by_label("Your name").fill("Erik")
            stranger.get_by_label("Password").fill(PASSWORD)
            stranger.get_by_role("button", name="Join the team").click()
            stranger.goto("/join/made-up/")
            looks_right(stranger)
        page.goto("/t/my-team/team/")
        page.locator(".switcher summary").press("Enter")
        page.get_by_label("Change erik@example.org").press("Enter")
        looks_right(page)
        for name in ("Transfer ownership to erik@example.org", "Remove erik@example.org"):
            page.goto("/t/my-team/team/")
            page.get_by_label("Change erik@example.org").press("Enter")
            page.get_by_role("link", name=name).click()
            looks_right(page)


def test_the_teams_are_changed_with_the_keyboard_alone(browser: Browser, instance: Instance) -> None:
    with page_on(browser, instance, java_script_enabled=False) as page:
        page.goto(login_link(instance))
        page.goto("/teams/new/")
        page.get_by_label("Name").fill("Zebra")
        page.get_by_label("Name").press("Enter")
        expect(page.locator("h1")).to_have_text("Zebra")
        page.locator(".switcher summary").press("Enter")
        page.get_by_role("navigation", name="Teams").get_by_role("link", name="My team").press("Enter")
        expect(page).to_have_url(re.compile("/t/my-team/$"))
