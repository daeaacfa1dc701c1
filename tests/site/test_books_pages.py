"""The pages of credits and books in a real browser: how each looks, and a month's trouble settled on them.

The instance calls the fault-injecting upstream, whose balance is true, so that the books can be reconciled.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from uuid import UUID

import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page, expect

from conftest import PHOTOS
from jobs.tests import upstream as wire
from jobs.tests.upstream import CREDENTIALS, CREDIT, Server, serving
from tests.site.conftest import login_link, page_on
from tests.site.instance import Instance, running
from tests.site.test_first_light import choose, passes_axe_in_both_themes

# The upstream comes before the browser, whose event loop runs in this thread.
pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("upstream", "manager_link")]

PICTURES = [PHOTOS / f"{name}.jpg" for name in ("astronaut", "chelsea", "coffee")]
TEAM, BOOK = "/t/my-team/", "/staff/reconciliation/"
MANAGER = "dora@example.org"
SETUP = f"""
from accounts.auth.login_links import login_link
from accounts.models import Membership, Role, Team, User
from jobs.events import outbox, subscriptions
from jobs.models import Delivery
team, owner = Team.objects.get(), User.objects.get()
dora = User.objects.create_user("{MANAGER}")
Membership.objects.create(team=team, user=dora, role=Role.MANAGER)
hook, _secret = subscriptions.add(team, owner, "https://shop.example/hooks/pictures", ["job.finished"])
outbox.ping(hook)
Delivery.objects.update(state="failed", tries=7, due_at=None, status=500, answer="down for maintenance")
print(login_link(dora))
"""
AGE = "from jobs.tests.audit.test_balance_book import let_time_pass; let_time_pass()"
TEAM_PAGES = (
    "credits/",
    "credits/statement/",
    "credits/statement/?kind=settle",
    "credits/usage/",
    "review/",
    "audit/",
    "history/?state=done",
    "webhooks/",
    "webhooks/1/",
)
STAFF_PAGES = (
    "",
    "review/",
    "reconciliation/",
    "reconciliation/purchases/",
    "upstream/",
    "teams/",
    "people/",
    "settings/",
)
PAGES = (*(TEAM + page for page in TEAM_PAGES), *(f"/staff/{page}" for page in STAFF_PAGES), "/health/")
DESK = {"viewport": {"width": 1280, "height": 800}}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PHONE = {"viewport": {"width": 390, "height": 844}, "locale": "fr-FR"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    with serving() as server:
        server.account_body = None
        yield server


@pytest.fixture(scope="module")
def instance(upstream: Server) -> Iterator[Instance]:
    settings = {
        "PIXIAN_API_URL": upstream.url,
        "PIXIAN_API_ID": CREDENTIALS.api_id,
        "PIXIAN_API_SECRET": CREDENTIALS.api_secret,
        "PIXIAN_TIMEOUT": "1",
        "FIRST_TEAM_CREDITS": "2000",
    }
    # Not pytest's own tmp_path, whose length a Unix socket can't take.
    with TemporaryDirectory(prefix="pixian-") as folder, running(Path(folder), **settings) as instance:
        yield instance


@pytest.fixture(scope="module")
def manager_link(instance: Instance) -> str:
    """Let a manager and a failing webhook into the team."""
    return instance.manage("shell", "-v0", "-c", SETUP).strip()


def mirrored(photo: Path, folder: Path) -> Path:
    """Return another picture, as one that was cut out before costs nothing."""
    with Image.open(photo) as image:
        ImageOps.mirror(image).save(folder / photo.name)
    return folder / photo.name


def cut_out(page: Page, instance: Instance, photos: list[Path]) -> None:
    """Upload these photos and wait until their calls are over."""
    (before,) = instance.rows("SELECT COUNT(*) FROM jobs_job")[0]
    page.goto(TEAM)
    choose(page, photos)
    page.get_by_role("button", name="Start", exact=True).click()
    over = "SELECT COUNT(*) FROM jobs_job WHERE state NOT IN ('queued', 'running')"
    for _ in range(600):
        if instance.rows(over) == [(before + len(photos),)]:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"not over in a minute: {instance.rows('SELECT name, state, reason FROM jobs_job')}")


# A story ----------------------------------------------------------------------------------------------


def test_a_month_of_trouble_is_settled_on_the_pages(
    browser: Browser, instance: Instance, upstream: Server, manager_link: str, tmp_path: Path
) -> None:
    with page_on(browser, instance, **DESK) as manager, page_on(browser, instance, **DESK) as owner:
        owner.goto(login_link(instance))
        take_a_balance(owner)
        upstream.script.extend([wire.charged_in_silence("0.2"), wire.no_answer, wire.answer(charged="0.6")])
        cut_out(owner, instance, [mirrored(photo, tmp_path) for photo in PICTURES])
        manager.goto(manager_link)
        decide_the_doubts(manager, instance)
        ask_for_a_refund(manager)
        approve_it_by_keyboard(owner)
        manager.goto(f"{TEAM}credits/statement/?kind=refund")
        expect(manager.locator(".statement tbody tr")).to_contain_text("+0.5")

        upstream.settings = replace(upstream.settings, opening_microcredits=1050 * CREDIT)
        instance.manage("shell", "-c", AGE)  # so that no lost call can be charged any more
        take_a_balance(owner)
        enter_the_purchase(owner, instance)
        owner.goto(BOOK)
        expect(owner.locator("main")).not_to_contain_text("To be explained")
        month = owner.locator("tfoot tr")
        expect(month.locator("td").nth(5)).to_have_text("0")
        expect(month).to_contain_text("agrees")
    assert instance.books_add_up()


def decide_the_doubts(page: Page, instance: Instance) -> None:
    """Book one of the lost calls, by keyboard, and give the others back, by mouse."""
    doubts = f"{TEAM}review/?kind=in_doubt"
    page.goto(doubts)
    first = page.locator("#case-title").inner_text()
    page.keyboard.press("j")
    expect(page.locator("#case-title")).not_to_have_text(first)
    page.get_by_label("Credits", exact=True).fill("0.2")
    page.get_by_label("Reason").fill("the account says so")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("0.2 credits are booked")
    while instance.rows("SELECT 1 FROM jobs_attempt WHERE state = 'in_doubt'"):
        page.goto(doubts)
        page.get_by_label("Reason").fill("the account knows nothing of it")
        page.get_by_role("button", name="It wasn't charged").click()
        expect(page.get_by_role("status")).to_contain_text("nothing was charged")


def ask_for_a_refund(page: Page) -> None:
    page.goto(f"{TEAM}review/?kind=overage")
    page.get_by_label("Credits", exact=True).fill("0.5")
    page.get_by_role("button", name="Refund").click()
    expect(page.get_by_role("alert")).to_contain_text("Say why")
    page.get_by_label("Reason").fill("more than was said")
    page.get_by_role("button", name="Refund").click()
    expect(page.get_by_role("status")).to_contain_text("waits for a second person")
    page.goto(f"{TEAM}review/?kind=adjustment")  # which case comes next depends on the charges
    expect(page.locator("main")).to_contain_text("A refund of 0.5 credits, asked for by dora@example.org")


def approve_it_by_keyboard(page: Page) -> None:
    page.goto("/staff/review/?kind=adjustment")
    expect(page.locator(".review-evidence")).to_contain_text("more than was said")
    page.keyboard.press("a")
    expect(page.get_by_role("status")).to_contain_text("approved and posted")


def enter_the_purchase(page: Page, instance: Instance) -> None:
    """Follow the difference to the form that it fills in; enter the same once more, and take that back."""
    page.goto(BOOK)
    page.locator(".findings a").click()
    expect(page.locator("main")).to_contain_text("not explained: too much is there")
    page.get_by_role("link", name="Enter what explains it").click()
    address = page.url
    page.get_by_label("Note").fill("invoice 7")
    page.get_by_role("button", name="Enter purchase").click()
    expect(page.get_by_role("status")).to_contain_text("50 credits entered")
    page.goto(address)
    page.get_by_label("Note").fill("invoice 7")
    page.get_by_role("button", name="Enter purchase").click()
    expect(page.get_by_role("alert")).to_contain_text("has already entered 50 credits")
    page.get_by_role("link", name="No", exact=True).click()
    assert instance.rows("SELECT COUNT(*), SUM(microcredits) FROM jobs_purchase") == [(1, 50 * CREDIT)]


def take_a_balance(page: Page) -> None:
    page.goto(BOOK)
    page.get_by_role("button", name="Take a balance now").click()
    expect(page.get_by_role("status")).to_contain_text("The balance is")


# How they look ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(browser: Browser, instance: Instance, upstream: Server) -> list[str]:
    """Fill the pages with a few calls, one in doubt and one overcharged; return their addresses."""
    with page_on(browser, instance) as page:
        page.goto(login_link(instance))
        take_a_balance(page)
        upstream.script.extend([wire.answer(charged="0.2"), wire.answer(charged="0.6"), wire.no_answer])
        cut_out(page, instance, PICTURES)
        take_a_balance(page)
    return [*PAGES, *newest(instance)]


@pytest.mark.parametrize(("screen", "device"), [("desk", DESK), ("phone", PHONE)])
def test_each_page_is_accessible_and_fits(
    browser: Browser, instance: Instance, pages: list[str], screen: str, device: dict[str, Any]
) -> None:
    """At a desk in English; on a phone in French, where axe would see the same page again, it has to fit."""
    with page_on(browser, instance, **device) as page, without_reports(page):
        page.goto(login_link(instance))
        for number, address in enumerate(pages):
            fits(page, address, f"{number:02}-{screen}")
            if screen == "desk":
                passes_axe_in_both_themes(page)


def newest(instance: Instance) -> list[str]:
    """Return the pages of the newest period, batch and picture."""
    period, job, batch = instance.rows(
        "SELECT (SELECT MAX(id) FROM jobs_balanceperiod), id, batch_id FROM jobs_job ORDER BY id DESC LIMIT 1"
    )[0]
    return [f"{BOOK}{period}/", f"{TEAM}batches/{UUID(batch)}/", f"{TEAM}jobs/{job}/"]


@contextmanager
def without_reports(page: Page) -> Iterator[None]:
    """Fail if the console reports anything, such as what the Content Security Policy refuses."""
    reports: list[str] = []
    page.on("console", lambda message: reports.append(f"{page.url}: {message.text}"))
    yield
    assert reports == []


def fits(page: Page, address: str, name: str) -> None:
    page.goto(address)
    expect(page.locator('[hx-trigger^="load"]')).to_have_count(0)  # all of it is there
    assert page.viewport_size
    width = page.viewport_size["width"]
    for scheme in THEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        shot(page, f"{name}-{scheme}")


def shot(page: Page, name: str) -> None:
    """Keep a screenshot if somebody wants to look at them."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
