"""People sign in through a real identity provider, in a browser, and its groups give them teams and roles."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import login_link, page_on, sign_out
from tests.site.glewlwyd import CLIENT_ID, CLIENT_SECRET, PASSWORD, Glewlwyd, glewlwyd, glewlwyd_lacks
from tests.site.instance import Instance
from tests.site.test_account_pages import INSIDE, looks_right
from tests.site.web_alone import running

LACKS = glewlwyd_lacks()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(LACKS), reason=f"LEFT OUT: signing in through an identity provider. {LACKS}"),
]

ROLES = """
SELECT m.role FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id
WHERE u.email = '{name}@example.org'
"""
MEMBER, MANAGER = 2, 3
POLICY = "Content Security Policy"
SHOP = re.compile(r"/t/shop/$")


@pytest.fixture(scope="module")
def provider() -> Iterator[Glewlwyd]:
    with glewlwyd() as provider:
        yield provider


@pytest.fixture(scope="module")
def instance(provider: Glewlwyd) -> Iterator[Instance]:
    settings = {
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_NAME": "Glewlwyd",
        "OIDC_GROUPS": "shop-staff=shop:member, shop-leads=shop:manager",
    }
    # Nothing here waits for a worker or an engine.
    with tempfile.TemporaryDirectory(prefix="pixian-") as folder, running(Path(folder), **settings) as web:
        instance = Instance(Path(folder), web.url, "", web.env)
        provider.register(f"{instance.url}/accounts/oidc/callback/")
        instance.manage("setup_team", "Shop", "--owner", "owner@localhost")
        yield instance


@pytest.fixture
def page(browser: Browser, instance: Instance) -> Iterator[Page]:
    """Return a page on which the browser has refused nothing because of the site's policy."""
    with page_on(browser, instance) as page:
        refused: list[str] = []
        page.on("console", lambda said: refused.append(said.text) if POLICY in said.text else None)
        yield page
        assert refused == []


def sign_in(page: Page, name: str, address: str = "/accounts/login/") -> None:
    page.goto(address)
    page.get_by_role("button", name="Sign in with Glewlwyd").click()
    type_password(page, name)
    consent(page)


def type_password(page: Page, name: str) -> None:
    page.locator("#username").fill(name)
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")


def consent(page: Page) -> None:
    """Let the site know who one is. Glewlwyd asks each time, since it has no scopes beside openid."""
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Grant access").click()
    page.get_by_role("button", name="Continue").click()


def test_a_person_signs_in_with_one_button(page: Page, instance: Instance, provider: Glewlwyd) -> None:
    provider.add_person("dora", "shop-staff", "others")
    looks_right(page, "login/")
    sign_in(page, "dora")
    expect(page).to_have_url(SHOP)
    assert instance.rows(ROLES.format(name="dora")) == [(MEMBER,)]
    page.goto("/accounts/email/")
    expect(page.get_by_text("You can sign in through Glewlwyd.")).to_be_visible()
    looks_right(page)


def test_next_leads_to_the_page_that_was_asked_for(page: Page, provider: Glewlwyd) -> None:
    provider.add_person("emil", "shop-staff")
    sign_in(page, "emil", "/t/shop/team/")
    expect(page).to_have_url(re.compile(r"/t/shop/team/$"))


def test_a_change_of_groups_counts_at_the_next_sign_in(
    browser: Browser, instance: Instance, provider: Glewlwyd
) -> None:
    provider.add_person("frida", "shop-staff", "shop-leads")
    for groups, roles in ((None, [(MANAGER,)]), (("shop-staff",), [(MEMBER,)]), ((), [])):
        if groups is not None:
            provider.move_person("frida", *groups)
        with page_on(browser, instance) as page:
            sign_in(page, "frida")
            expect(page.locator(".menu")).to_be_visible()
        assert instance.rows(ROLES.format(name="frida")) == roles


def test_a_person_without_a_group_is_told_so(page: Page, instance: Instance, provider: Glewlwyd) -> None:
    provider.add_person("gustav", "others")
    sign_in(page, "gustav")
    expect(page.get_by_role("status")).to_contain_text("doesn't give your account access to any team here")
    assert instance.rows("SELECT 1 FROM accounts_user WHERE email = 'gustav@example.org'") == []


def test_the_owner_connects_their_account(page: Page, instance: Instance, provider: Glewlwyd) -> None:
    provider.add_person("owner", "others")
    page.goto(login_link(instance))
    page.goto("/accounts/email/")
    looks_right(page)
    page.get_by_role("button", name="Connect with Glewlwyd").click()
    type_password(page, "owner")
    consent(page)
    expect(page.get_by_role("status")).to_contain_text("You can now sign in through Glewlwyd")
    sign_out(page)
    page.get_by_role("button", name="Sign in with Glewlwyd").click()
    consent(page)
    expect(page).to_have_url(INSIDE)


def test_in_french(browser: Browser, instance: Instance, provider: Glewlwyd) -> None:
    with page_on(browser, instance, locale="fr-FR") as page:
        page.goto("/accounts/login/")
        expect(page.get_by_role("heading", name="Se connecter", exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Glewlwyd")).to_be_visible()


def test_a_provider_that_is_down_is_said_and_the_link_still_works(
    page: Page, instance: Instance, provider: Glewlwyd
) -> None:
    provider.kill()
    try:
        page.goto("/accounts/login/")
        page.get_by_role("button", name="Sign in with Glewlwyd").click()
        expect(page.get_by_role("status")).to_contain_text("can't be reached right now")
        page.goto(instance.login_link())
        expect(page).to_have_url(INSIDE)
    finally:
        provider.start()
