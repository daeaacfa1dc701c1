"""One person's afternoon, in a real browser: hundreds of photos, and credits for fewer than half of them.

``python -m tests.site.three_hundred --shots DIR`` plays it with 300 photos and keeps a screenshot of each
step; the test beside it plays it with a few.
"""

import argparse
import csv
import io
import json
import random
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageEnhance
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.site.conftest import FLAGS, page_on
from tests.site.instance import ROOT, Instance, running

DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "locale": "fr-FR",
    "is_mobile": True,
    "has_touch": True,
}
PHOTOS = ROOT / "engine/tests/photos"
FOLDER = "Autumn shoes"
MILLISECONDS_PER_PICTURE = 4000


@dataclass
class Story:
    """A shopper at a desk and on a phone, and the person who runs the site."""

    browser: Browser
    instance: Instance
    photos: Path
    shots: Path | None = None
    shot = 0

    def __post_init__(self) -> None:
        self.count = sum(1 for path in self.photos.rglob("*") if path.is_file())
        self.patience = MILLISECONDS_PER_PICTURE * self.count + 20_000
        self.enough_for = self.count * 9 // 20
        credits = f"{self.enough_for * max(map(megapixels, self.photos.rglob('*.jpg'))):.6f}"
        printed = self.instance.manage(
            "setup_team", "Shoes", "--owner", "shopper@example.org", "--credits", credits
        )
        self.link = json.loads(printed)["login_link"]

    def play(self) -> None:
        with ExitStack() as open_pages:
            desk = open_pages.enter_context(page_on(self.browser, self.instance, **DESK))
            desk.goto(self.link)
            self.start(desk)
            kept = self.wait_for_credits(desk)
            state = desk.context.storage_state()
            phone = open_pages.enter_context(
                page_on(self.browser, self.instance, storage_state=state, **PHONE)
            )
            self.watch_on_the_phone(phone, desk.url, kept)
            self.ask(desk)
            staff = open_pages.enter_context(page_on(self.browser, self.instance, **DESK))
            self.grant(staff)
            self.wait_for_the_rest(desk, phone)
            self.restyle(desk)
            self.take_away(desk)
        assert self.instance.books_add_up()

    def start(self, desk: Page) -> None:
        self.keep("workspace", desk)
        with desk.expect_file_chooser() as chooser:
            desk.locator("[data-pick=folder]").click()
        chooser.value.set_files(self.photos)
        plan = desk.locator("#uploads .plan")
        expect(plan).to_contain_text(f"{self.count} pictures", timeout=self.patience)
        self.keep("plan", desk)
        plan.get_by_role("button", name=re.compile(r"Start \d+ now, keep \d+ for later")).click()
        if self.count > 50:
            self.keep("confirm", desk)
            desk.get_by_role("dialog").locator("button[value=yes]").click()
        expect(desk).to_have_url(re.compile("/batches/"))
        self.keep("uploading", desk)

    def wait_for_credits(self, desk: Page) -> int:
        """Wait until what fits is done; return how many pictures are kept."""
        kept = desk.locator(".group", has_text="wait for credits").or_(
            desk.locator("[data-groups] li", has_text="wait for credits")
        )
        expect(desk.locator("[data-summary]")).to_contain_text(f"of {self.count}", timeout=self.patience)
        self.wait(
            lambda: self.states().keys() == {"done", "kept"} and sum(self.states().values()) == self.count
        )
        expect(kept.first).to_be_visible()
        self.keep("kept", desk)
        return self.states()["kept"]

    def watch_on_the_phone(self, phone: Page, batch: str, kept: int) -> None:
        phone.goto(batch)
        expect(phone.locator("[data-groups]")).to_contain_text(f"{kept} attendent des crédits")
        assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
        self.keep("phone", phone)

    def ask(self, desk: Page) -> None:
        desk.get_by_role("link", name=re.compile("Ask for")).click()
        expect(desk.get_by_role("heading", name="Ask for credits")).to_be_visible()
        desk.get_by_role("button", name="Ask for credits").click()
        expect(desk).to_have_url(re.compile("/batches/"))
        self.keep("asked", desk)

    def grant(self, staff: Page) -> None:
        staff.goto(self.instance.login_link())
        staff.goto(f"{self.instance.url}/t/shoes/credits/")
        self.keep("request", staff)
        staff.locator(".asked").get_by_role("button", name="Grant", exact=False).first.click()
        self.keep("granted", staff)

    def wait_for_the_rest(self, desk: Page, phone: Page) -> None:
        self.wait(lambda: self.states() == {"done": self.count})
        expect(desk.locator("[data-summary]")).to_have_text(f"{self.count} of {self.count} done")
        expect(phone.locator("[data-summary]")).to_have_text(f"{self.count} sur {self.count} terminées")
        self.keep("done", desk)
        self.keep("phone-done", phone)

    def restyle(self, desk: Page) -> None:
        batch = desk.url
        desk.goto(f"{self.instance.url}/t/shoes/presets/")
        desk.locator("form[action*='examples/amazon'] button").click()
        desk.goto(batch)
        desk.get_by_role("button", name="Restyle all · 0 credits").click()
        self.keep("restyle", desk)
        desk.locator("#restyle button[name=preset]").click()
        expect(desk.locator(".shot-picture img").first).to_have_attribute("src", re.compile("styled"))
        self.wait(lambda: self.made() == self.count)
        self.keep("restyled", desk)

    def take_away(self, desk: Page) -> None:
        with desk.expect_download(timeout=self.patience) as download:
            desk.get_by_role("link", name=re.compile(r"^Download \d+")).click()
        with zipfile.ZipFile(download.value.path()) as archive:
            assert archive.testzip() is None
            names = [name for name in archive.namelist() if name != "manifest.csv"]
            rows = list(csv.DictReader(io.TextIOWrapper(archive.open("manifest.csv"), "utf-8-sig")))
            with Image.open(archive.open(names[0])) as first:
                assert (first.format, first.size) == ("JPEG", (2000, 2000))
        assert len(set(names)) == len(rows) == self.count

    def states(self) -> dict[str, int]:
        return dict(self.instance.rows("SELECT state, COUNT(*) FROM jobs_job GROUP BY state"))

    def made(self) -> int:
        return int(self.instance.rows("SELECT COUNT(*) FROM jobs_rendition WHERE state = 'made'")[0][0])

    def wait(self, happened: object) -> None:
        assert callable(happened)
        end = time.monotonic() + self.patience / 1000
        while not happened():
            assert time.monotonic() < end, (self.states(), self.made())
            time.sleep(0.2)

    def keep(self, name: str, page: Page) -> None:
        if self.shots:
            self.shot += 1
            page.wait_for_timeout(700)
            page.screenshot(path=self.shots / f"{self.shot:02}-{name}.png")


def megapixels(photo: Path) -> float:
    with Image.open(photo) as image:
        return image.width * image.height / 1_000_000


def shoot(folder: Path, count: int, side: int) -> Path:
    """Make photos, each like no other, out of those that the tests have, in two folders and their parent."""
    chance = random.Random(count)
    originals = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    for number in range(count):
        image = originals[number % len(originals)].resize((side, side - number % 7))
        below = folder / FOLDER / ("red", "blue", ".")[number % 3]
        below.mkdir(parents=True, exist_ok=True)
        brighter = ImageEnhance.Brightness(image).enhance(chance.uniform(0.85, 1.15))
        # Of hundreds, some differ by less than a pixel shows; the browser leaves equal files out.
        brighter.save(below / f"SKU-{1000 + number}_front.jpg", quality=85, comment=str(number))
    return folder / FOLDER


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.site.three_hundred", description=__doc__)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--side", type=int, default=900, help="of a photo, in pixels")
    parser.add_argument("--shots", type=Path, help="a folder for screenshots")
    options = parser.parse_args(arguments)
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    expect.set_options(timeout=20_000)
    with tempfile.TemporaryDirectory(prefix="pixian-") as folder, sync_playwright() as playwright:
        photos = shoot(Path(folder), options.photos, options.side)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with running(Path(folder) / "data", PIXIAN_API_URL="embedded") as instance:
            Story(browser, instance, photos, options.shots).play()
        browser.close()
    sys.stdout.write(f"{options.photos} photos in {time.monotonic() - began:.0f} s, start and end included\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
