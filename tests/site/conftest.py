import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.site.instance import Instance, running

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """Return an instance that several tests share."""
    yield from fresh()


@pytest.fixture
def fresh_instance() -> Iterator[Instance]:
    """Return an instance that has just been started for the first time."""
    yield from fresh()


def fresh() -> Iterator[Instance]:
    # Not pytest's own tmp_path, whose length a Unix socket can't take.
    with tempfile.TemporaryDirectory(prefix="pixian-") as folder, running(Path(folder)) as instance:
        yield instance


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the session: while Playwright runs an event loop in this thread, Django refuses its database.
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def page_on(browser: Browser, instance: Instance, **settings: Any) -> Iterator[Page]:
    """Return a page that nobody is signed in on. An error in its scripts fails the test."""
    # Without motion, so that no colour is looked at halfway to the next one.
    context = browser.new_context(base_url=instance.url, **{"reduced_motion": "reduce"} | settings)
    page = context.new_page()
    tripped: list[str] = []
    page.on("pageerror", lambda error: tripped.append(str(error)))
    yield page
    context.unroute_all(behavior="ignoreErrors")  # a poll may be on its way
    context.close()
    assert tripped == []


@pytest.fixture
def page(browser: Browser, instance: Instance) -> Iterator[Page]:
    with page_on(browser, instance) as page:
        yield page


@pytest.fixture
def owner_page(page: Page, instance: Instance) -> Page:
    """Return a page on which the owner is signed in by a fresh link."""
    page.goto(login_link(instance))
    return page


def login_link(instance: Instance) -> str:
    return instance.manage("login_link", "owner@localhost").strip()


def sign_out(page: Page) -> None:
    """Sign out by the menu in the bar."""
    page.locator(".menu > summary").click()
    page.get_by_role("button", name="Sign out").click()
