"""Logging in, in a real browser: an app's codes, a passkey's ceremony, and how each such page looks."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.tests.auth.factors import PERIOD_SECONDS, code_of
from tests.site.conftest import login_link, page_on, sign_out
from tests.site.instance import Instance
from tests.site.test_first_light import passes_axe_in_both_themes

pytestmark = pytest.mark.browser

OWNER, PASSWORD = "owner@localhost", "a rather long sentence"
INSIDE = re.compile("/t/my-team/$")
# What a laptop with a fingerprint reader has, whose owner always puts the right finger on it.
LAPTOP = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
STRANGERS = ["login/", "signup/", "password/reset/", "password/reset/done/", "password/reset/key/1-x/"]
OWN = ["logout/", "reauthenticate/", "email/", "password/change/", "2fa/", "2fa/totp/activate/"]
WITH_FACTORS = [
    "2fa/",
    "2fa/reauthenticate/",
    "2fa/recovery-codes/",
    "2fa/recovery-codes/generate/",
    "2fa/totp/deactivate/",
    "2fa/webauthn/",
    "2fa/webauthn/add/",
    "2fa/webauthn/reauthenticate/",
    "2fa/webauthn/keys/{passkey}/edit/",
    "2fa/webauthn/keys/{passkey}/remove/",
]


@pytest.fixture(scope="module")
def named(instance: Instance) -> Instance:
    """Return the same address by its name: a passkey belongs to a name, never to numbers."""
    return replace(instance, url=instance.url.replace("127.0.0.1", "localhost"))


@pytest.fixture
def page(browser: Browser, named: Instance) -> Iterator[Page]:
    with page_on(browser, named, reduced_motion="reduce") as page:
        devtools = page.context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": LAPTOP})
        yield page


def log_in(page: Page) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(OWNER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def log_out(page: Page) -> None:
    sign_out(page)
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()


def type_code(page: Page, secret: str, used: str = "") -> str:
    """Type a code and return it: not the used one, nor one whose period is about to end."""
    while code_of(secret) == used or PERIOD_SECONDS - time.time() % PERIOD_SECONDS < 3:
        time.sleep(0.5)
    code = code_of(secret)
    page.get_by_label(re.compile("code", re.IGNORECASE)).fill(code)
    return code


def looks_right(page: Page, *addresses: str) -> None:
    """Check that the page is accessible in light and dark and fits a phone; keep its picture."""
    for address in addresses or (page.url,):
        if addresses:
            page.goto(f"/accounts/{address}")
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        passes_axe_in_both_themes(page)
        page.set_viewport_size({"width": 360, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address
        page.set_viewport_size({"width": 1280, "height": 800})


def choose_a_password(page: Page) -> None:
    page.goto("/accounts/password/change/")
    looks_right(page)
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("status")).to_contain_text("You can now sign in with your password")


def set_up_an_app(page: Page) -> tuple[str, str]:
    """Set up an app; return the key that it shares with the site, and the code that is used up now."""
    page.goto("/accounts/2fa/totp/activate/")
    secret: str = re.findall("[A-Z2-7]{32}", page.locator("main").inner_text())[0]
    code = type_code(page, secret)
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("listitem")).to_have_count(10)
    return secret, code


def add_a_passkey(page: Page) -> str:
    """Add a passkey and return its number in addresses."""
    page.goto("/accounts/2fa/webauthn/add/")
    page.get_by_label("A name").fill("Laptop")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("status")).to_contain_text("The passkey was added")
    page.get_by_role("link", name="Your passkeys").click()
    edit = page.get_by_role("link", name="Rename Laptop").get_attribute("href") or ""
    return edit.split("/")[-3]


def test_from_a_link_to_a_passkey(page: Page, named: Instance) -> None:
    looks_right(page, *STRANGERS)
    page.goto(login_link(named).replace("127.0.0.1", "localhost"))
    choose_a_password(page)
    looks_right(page, *OWN)
    secret, used_code = set_up_an_app(page)
    passkey = add_a_passkey(page)
    looks_right(page, *(address.format(passkey=passkey) for address in WITH_FACTORS))
    log_out(page)

    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(INSIDE)
    log_out(page)

    log_in(page)
    looks_right(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(INSIDE)
    log_out(page)

    log_in(page)
    type_code(page, secret, used_code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(INSIDE)


def test_a_passkey_that_is_not_there_is_said(browser: Browser, named: Instance) -> None:
    with page_on(browser, named) as page:
        devtools = page.context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": LAPTOP})
        page.goto("/accounts/login/")
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("alert")).to_contain_text("No passkey was used")


def test_by_its_numbers_a_site_has_no_passkeys_and_says_so(browser: Browser, instance: Instance) -> None:
    with page_on(browser, instance) as page:
        page.goto("/accounts/login/")
        expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
        page.goto(login_link(instance))
        page.goto("/accounts/2fa/webauthn/add/")
        expect(page.get_by_role("alert")).to_contain_text(instance.url.replace("127.0.0.1", "localhost"))
