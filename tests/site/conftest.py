import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.utils.module_loading import import_string
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.site.instance import OWNER, Instance, running

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MILLISECONDS = 60_000
"""Three processes share the machine's cores, and a page may have to wait for its turn."""


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
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def page_on(browser: Browser, instance: Instance, **settings: Any) -> Iterator[Page]:
    """Return a page that nobody is signed in on. An error in its scripts fails the test."""
    # Without motion, so that no colour is looked at halfway to the next one.
    context = browser.new_context(base_url=instance.url, **{"reduced_motion": "reduce"} | settings)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
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
    """Return a link that signs the owner in, as the command prints it, which takes seconds to start."""
    columns = "id, email, password, last_login"
    ((pk, email, password, last_login),) = instance.rows(
        f"SELECT {columns} FROM accounts_user WHERE email = '{OWNER}'"
    )
    seen = last_login and datetime.fromisoformat(last_login)
    owner = get_user_model()(pk=pk, email=email, password=password, last_login=seen)
    link = str(import_string("accounts.auth.login_links.login_link")(owner))
    return instance.url + str(urlsplit(link).path)


def sign_out(page: Page) -> None:
    """Sign out by the menu in the bar."""
    page.locator(".menu > summary").click()
    page.get_by_role("button", name="Sign out").click()
