"""A batch's page in a real browser: it draws only what changed, and all of it can be done by keyboard."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import login_link, page_on
from tests.site.instance import ROOT, Instance
from tests.site.test_first_light import passes_axe_in_both_themes

pytestmark = pytest.mark.browser

COUNT = 30
WATCH = """() => {
  window.touched = new Set();
  new MutationObserver((records) => {
    for (const { target } of records) {
      const element = target.nodeType === 1 ? target : target.parentElement;
      window.touched.add(element.closest(".shot")?.id ?? element.id);
    }
  }).observe(document.querySelector("#tiles"), {
    subtree: true, childList: true, attributes: true, characterData: true,
  });
}"""


@pytest.fixture(scope="module")
def scene(instance: Instance) -> Iterator[subprocess.Popen[str]]:
    """Start what makes the batches, once: it takes seconds to start."""
    command = [sys.executable, "-m", "tests.site.batch_scene"]
    env = instance.env | {"DJANGO_SETTINGS_MODULE": "pixian_web.settings"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdin=pipe, stdout=pipe) as process:
        yield process


@pytest.fixture
def address(scene: subprocess.Popen[str]) -> str:
    """A fresh batch of mixed states, which no worker touches."""
    assert scene.stdin
    assert scene.stdout
    scene.stdin.write(f"{COUNT}\n")
    scene.stdin.flush()
    made = scene.stdout.readline().strip()
    assert made, "the scene ended; its error is above"
    return made


@pytest.fixture
def batch_page(owner_page: Page, address: str) -> Page:
    owner_page.goto(address)
    expect(owner_page.locator(".batch.scripted")).to_be_visible()
    expect(owner_page.locator("[data-pace]")).not_to_be_empty()
    return owner_page


def shots(page: Page, state: str) -> int:
    return page.locator(f'.shot[data-state="{state}"]').count()


def change(instance: Instance, statement: str) -> None:
    instance.manage(
        "shell", "-c", f"from jobs.models import *; from django.utils import timezone; {statement}"
    )


def test_a_change_is_drawn_and_nothing_else(batch_page: Page, instance: Instance) -> None:
    page = batch_page
    expect(page.locator(".shot")).to_have_count(COUNT)
    expect(page.locator("[data-summary]")).to_have_text("12 of 32 done")
    titles = page.locator(".group-title")
    expect(titles).to_contain_text(
        ["6 wait for credits", "2 can't be read", "1 failed", "1 in doubt", "1 cancelled"]
    )
    expect(page.locator(".batch-bar rect")).to_have_count(4)
    key = page.locator('.shot[data-state="queued"]').first.get_attribute("data-id")
    page.evaluate(WATCH)
    change(
        instance,
        f"Job.objects.filter(pk={key}).update(state='failed', reason='refused', updated_at=timezone.now())",
    )
    expect(page.locator(f"#job-{key}")).to_contain_text("The service rejected the picture.")
    expect(titles).to_contain_text(["2 failed"])
    assert page.evaluate("[...window.touched]") == [f"job-{key}"]


def test_by_keyboard_alone(batch_page: Page, instance: Instance) -> None:
    page = batch_page
    page.locator(".chip", has_text="Done").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".shot:visible")).to_have_count(12)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("[data-chosen]")).to_have_text("Selected: 3")
    page.keyboard.press("a")
    expect(page.locator('.shot[data-proof="approved"]')).to_have_count(3)
    expect(page.locator("[data-toast]")).to_contain_text("Approved: 3.")
    page.keyboard.press("z")
    expect(page.locator('.shot[data-proof="approved"]')).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator(".shot:has(input:checked)")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Approve the selected")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/jobs/"))


def test_pause_resume_cancel_and_undo(batch_page: Page) -> None:
    page = batch_page
    page.keyboard.press("p")
    expect(page.locator('.shot[data-state="paused"]')).to_have_count(7)
    page.get_by_role("button", name="Resume").first.click()
    expect(page.locator('.shot[data-state="paused"]')).to_have_count(0)
    page.get_by_role("button", name="Cancel the rest").click()
    expect(page.locator('.shot[data-state="cancelled"]')).to_have_count(14)
    page.locator("[data-toast]").get_by_role("button", name="Undo").click()
    expect(page.locator('.shot[data-state="cancelled"]')).to_have_count(1)


def test_what_another_page_has_cancelled_is_not_undone(batch_page: Page, address: str) -> None:
    """The other page hasn't heard of it yet, and cancels nothing any more."""
    other = batch_page.context.new_page()
    other.route("**/changes/**", lambda route: route.abort())
    other.goto(address)
    batch_page.get_by_role("button", name="Cancel the rest").click()
    expect(batch_page.locator('.shot[data-state="cancelled"]')).to_have_count(14)
    other.get_by_role("button", name="Cancel the rest").click()
    expect(other.locator("[data-toast]")).to_contain_text("Cancelled: 0.")
    expect(other.locator("[data-undo]")).to_be_hidden()


def test_what_never_comes_is_not_waited_for(batch_page: Page, address: str, instance: Instance) -> None:
    batch = address.strip("/").rpartition("/")[2]
    change(instance, f"BatchFile.objects.create(batch_id='{batch}', number=99, name='gone.jpg')")
    batch_page.reload()
    panel = batch_page.locator("#uploads")
    expect(panel).to_contain_text("1 picture of this batch has not been uploaded")
    expect(batch_page.get_by_role("button", name="Don't wait for them")).to_have_count(0)
    for rows in ("BatchFile", "Job"):  # nobody has uploaded anything for a while
        change(instance, f"{rows}.objects.filter(batch='{batch}').update(updated_at='2026-01-01T00:00Z')")
    batch_page.reload()
    batch_page.get_by_role("button", name="Don't wait for them").click()
    expect(panel).to_be_empty()
    expect(batch_page.locator("[data-groups]")).not_to_contain_text("isn't uploaded yet")


def test_it_is_renamed_in_place(batch_page: Page) -> None:
    batch_page.keyboard.press("e")
    batch_page.get_by_label("Name of the batch").fill("Winter <b>boots</b>")
    batch_page.keyboard.press("Enter")
    expect(batch_page.get_by_role("heading", level=1)).to_have_text("Winter <b>boots</b>")


def test_a_lost_line_is_said_and_found_again(batch_page: Page) -> None:
    batch_page.route("**/changes/**", lambda route: route.abort())
    expect(batch_page.get_by_role("alert")).to_contain_text("No connection")
    batch_page.unroute("**/changes/**")
    expect(batch_page.get_by_role("alert")).to_be_hidden()


def test_after_a_lost_line_it_is_looked_as_often_as_before(owner_page: Page, address: str) -> None:
    owner_page.clock.install()
    with owner_page.expect_response("**/changes/**"):
        owner_page.goto(address)
    owner_page.route("**/changes/**", lambda route: route.abort())
    for seconds in (2, 4, 8, 16):
        with owner_page.expect_event("requestfailed"):
            owner_page.clock.run_for(seconds * 1000)
    owner_page.unroute("**/changes/**")
    for seconds in (32, 2):
        with owner_page.expect_response("**/changes/**", timeout=9000) as response:
            owner_page.clock.run_for(seconds * 1000)
        assert response.value.status == 304


def test_what_is_ticked_again_after_back_is_said(batch_page: Page) -> None:
    for number in (0, 2):
        batch_page.locator(".shot input").nth(number).check()
    batch_page.locator(".shot a").nth(1).click()
    expect(batch_page).to_have_url(re.compile("/jobs/"))
    batch_page.go_back()
    expect(batch_page.locator("[data-chosen]")).to_have_text("Selected: 2")


def test_on_a_phone_in_french_and_both_themes(browser: Browser, instance: Instance, address: str) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "locale": "fr-FR"}
    policy: list[str] = []
    with page_on(browser, instance, **phone) as page:
        page.on("console", lambda message: policy.append(message.text))
        page.goto(login_link(instance))
        page.goto(address)
        expect(page.locator(".batch.scripted")).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", "fr")
        expect(page.locator(".shot")).to_have_count(COUNT)
        assert page.locator("html").evaluate("e => e.scrollWidth") <= 390
        passes_axe_in_both_themes(page)
    assert [text for text in policy if "Content Security Policy" in text] == []


def test_without_scripts(browser: Browser, instance: Instance, address: str) -> None:
    with page_on(browser, instance, java_script_enabled=False) as page:
        page.goto(login_link(instance))
        page.goto(address)
        expect(page.locator(".shot")).to_have_count(COUNT)
        page.get_by_role("button", name="Pause", exact=False).first.click()
        expect(page.locator("main")).to_contain_text("Paused. What is being cut out is finished.")
        expect(page.locator('.shot[data-state="paused"]')).to_have_count(7)
        page.locator('.shot[data-state="done"] input').first.check()
        page.get_by_role("button", name="Approve").click()
        expect(page.locator('.shot[data-proof="approved"]')).to_have_count(1)
