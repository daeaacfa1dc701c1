"""Thirty photos from the drop to their rows, in a real browser on a whole instance."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.site.conftest import login_link
from tests.site.instance import Instance
from tests.site.test_dropping import drop
from tests.site.test_first_light import passes_axe
from tests.site.test_intake import shot

pytestmark = pytest.mark.browser

UPLOAD = re.compile(r"/batches/[0-9a-f-]{36}/upload/$")


@contextmanager
def owner_on(browser: Browser, instance: Instance) -> Iterator[Page]:
    """Return a page of a new browser profile on which the owner is signed in; the CSP must refuse nothing."""
    context = browser.new_context(base_url=instance.url)
    page = context.new_page()
    refused: list[str] = []
    page.on("pageerror", lambda error: refused.append(str(error)))
    page.on("console", lambda message: refused.append(message.text) if "Security" in message.text else None)
    page.goto(login_link(instance))
    yield page
    context.close()
    assert refused == []


def photos(folder: Path, shade: int) -> Path:
    """Make a nested folder of thirty photos of a hundredth of a credit each."""
    for number in range(30):
        below = folder / ("red" if number % 2 else "red/high heels")
        below.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 100), (number, shade, 99)).save(below / f"SKU-{number}.png")
    return folder


def jobs(instance: Instance, batch: str) -> list[tuple[int, str, str]]:
    columns = "number, folder, name"
    return instance.rows(f"SELECT {columns} FROM jobs_job WHERE batch_id = '{batch}' ORDER BY number")


def test_a_lost_line_delays_an_upload_and_nothing_else(
    browser: Browser, instance: Instance, tmp_path: Path
) -> None:
    with owner_on(browser, instance) as page:
        drop(page, photos(tmp_path / "Autumn shoes", 1))
        cut_line_after(page, 5)
        page.get_by_role("button", name="Start", exact=True).click()
        uploads = page.locator("#uploads")
        expect(uploads).to_contain_text("The line to the server is lost")
        page.context.set_offline(False)
        expect(uploads).to_contain_text("All 30 pictures are uploaded.")
        expect(page.locator(".shot")).to_have_count(30)
        expect(page.get_by_text("No pictures here.")).to_be_hidden()
        (batch,) = instance.rows("SELECT id FROM jobs_batch WHERE name = 'Autumn shoes'")[0]
        rows = jobs(instance, batch)
        assert [number for number, _, _ in rows] == [*range(1, 31)]
        assert {folder for _, folder, _ in rows} == {"Autumn shoes/red", "Autumn shoes/red/high heels"}


def cut_line_after(page: Page, uploads: int) -> None:
    """Cut the line for all the page's requests once so many pictures were sent."""
    sent: list[str] = []

    def count(route: Route) -> None:
        sent.append(route.request.url)
        if len(sent) == uploads:
            page.context.set_offline(True)
        route.continue_()

    page.route(UPLOAD, count)


def test_one_picture_is_tried_and_addresses_are_fetched(
    browser: Browser, instance: Instance, tmp_path: Path
) -> None:
    with owner_on(browser, instance) as page:
        drop(page, photos(tmp_path / "Winter shoes", 3))
        page.get_by_role("button", name="Try one picture · 0 credits").click()
        test = page.locator("#uploads figure")
        expect(test).to_contain_text("SKU-1.png would cost 0.01 credits. This test cost 0 credits.")
        expect(test.get_by_role("img")).to_be_visible()

        page.get_by_role("button", name="Fetch from addresses").click()
        dialog = page.get_by_role("dialog")
        fetch = dialog.get_by_role("button", name="Fetch and cut out")
        fetch.click()
        expect(dialog.get_by_role("alert")).to_have_text("Enter at least one address.")
        dialog.get_by_role("textbox").fill("https://pictures.test/a.jpg\nshoes.jpg")
        fetch.click()
        expect(dialog.get_by_role("alert")).to_contain_text("1 address was added. 1 line is no address")
        expect(dialog.get_by_role("textbox")).to_have_value("shoes.jpg")
        dialog.get_by_role("button", name="Cancel").click()
        expect(page).to_have_url(re.compile("/batches/[0-9a-f-]{36}/$"))
    assert instance.rows("SELECT name, url FROM jobs_batchfile WHERE url <> ''") == [
        ("a.jpg", "https://pictures.test/a.jpg")
    ]


def test_a_restart_in_the_middle_and_too_few_credits(
    browser: Browser, instance: Instance, tmp_path: Path
) -> None:
    folder = photos(tmp_path / "Spring shoes", 2)
    with owner_on(browser, instance) as page:
        leave_credits_for(instance, 12)
        drop(page, folder)
        plan = page.locator("#uploads .plan")
        expect(plan).to_contain_text("30 pictures, 0.3 megapixels")
        expect(plan).to_contain_text("0.12 available")
        cut_line_after(page, 10)
        plan.get_by_role("button", name="Start 12 now, keep 18 for later").click()
        expect(page.locator("#uploads")).to_contain_text("The line to the server is lost")
    (batch,) = instance.rows("SELECT id FROM jobs_batch WHERE name = 'Spring shoes'")[0]
    assert len(jobs(instance, batch)) < 30

    with owner_on(browser, instance) as page:
        page.route(re.compile(r"/batches/[0-9a-f-]{36}/$"), lambda route: answer_as_batch(route, batch))
        page.goto(f"/t/my-team/batches/{dashed(batch)}/")
        expect(page.locator("#uploads")).to_contain_text("pictures of this batch have not been uploaded")
        drop(page, folder)
        expect(page.locator("#uploads")).to_contain_text("pictures are uploaded.")
        page.goto("/t/my-team/")
        recent = page.locator(".recent li", has_text="Spring shoes")
        expect(recent).to_contain_text("of 30 done")
        expect(recent).to_contain_text("waiting")
        shot(page, "recent")
        passes_axe(page)
    rows = jobs(instance, batch)
    assert [number for number, _, _ in rows] == [*range(1, 31)]
    assert len({name for _, _, name in rows}) == 30
    kept = f"SELECT COUNT(*) FROM jobs_job WHERE batch_id = '{batch}' AND state = 'kept'"
    assert instance.rows(kept) == [(18,)]
    assert instance.books_add_up()
    instance.manage("grant", "my-team", "1000", "--by", "owner@localhost")  # for the tests after it


def leave_credits_for(instance: Instance, pictures: int) -> None:
    """Take all credits away but those for so many pictures; what is held is settled first."""
    query = (
        "SELECT SUM(CASE WHEN kind = 'available' THEN balance_microcredits END), "
        "SUM(CASE WHEN kind = 'held' THEN balance_microcredits END) FROM accounts_ledgeraccount"
    )
    for _ in range(300):
        available, held = instance.rows(query)[0]
        if not held:
            break
        time.sleep(0.2)
    left = (available - pictures * 10_000) / 1_000_000
    by = ("--why", "for the test", "--by", "owner@localhost")
    instance.manage("adjust", "my-team", f"-{left}", *by, SECOND_REVIEW_CREDITS="0")


def answer_as_batch(route: Route, batch: str) -> None:
    """Answer with a page that has the intake's part of a batch's page."""
    workspace = route.fetch(url=re.sub("batches/.*", "", route.request.url))
    page = workspace.text().replace("data-intake", f'data-intake data-batch="{dashed(batch)}"', 1)
    route.fulfill(response=workspace, body=page)


def dashed(batch: str) -> str:
    return re.sub(r"^(.{8})(.{4})(.{4})(.{4})", r"\1-\2-\3-\4-", batch)
