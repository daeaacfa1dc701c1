"""``python -m bench.speed.batch_page``: what a batch's page costs the server and the browser.

A whole instance with Debian's Chromium. The server's milliseconds are those of a request over loopback, to a
batch of 2,000 pictures: a first poll of 500, one with five changes, and one with none (304). The page's are
those of its script for one changed tile among 500, and what its memory is with 2,000.
"""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.site.conftest import FLAGS
from tests.site.instance import ROOT, Instance, running

REPEATS = 15
CHANGED = 5
MANY, SOME = 2000, 500
SETTINGS = {
    "PIXIAN_API_URL": "embedded",
    "ENGINE_MODEL": "fast",
    "DJANGO_SETTINGS_MODULE": "pixian_web.settings",
}
OLD = timedelta(minutes=10)
DRAWN = "performance.getEntriesByName('batch').filter((e) => e.detail === 1).map((e) => e.duration)"
"""The milliseconds of the script for each response with one changed tile."""


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="pixian-") as folder,
        running(Path(folder), **SETTINGS) as instance,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        _say("\nBatch page\n")
        _measure_server(instance, browser, _filled(instance, MANY))
        _measure_page(instance, browser, _filled(instance, SOME))
        browser.close()
    return 0


@dataclass
class Polls:
    """A reader who polls a batch as its page does."""

    client: httpx.Client
    address: str
    cursor: str = ""
    etag: str = ""

    def __call__(self) -> tuple[float, httpx.Response]:
        began = time.perf_counter()
        headers = {"HX-Request": "true"} | ({"If-None-Match": self.etag} if self.etag else {})
        response = self.client.get(self.address, params={"since": self.cursor}, headers=headers)
        milliseconds = 1000 * (time.perf_counter() - began)
        if response.status_code == httpx.codes.OK:
            self.cursor, self.etag = response.json()["cursor"], response.headers.get("ETag", "")
        return milliseconds, response

    def to_the_end(self) -> None:
        """Poll until there is nothing new."""
        while self()[1].status_code == httpx.codes.OK:
            pass


def _measure_server(instance: Instance, browser: Browser, address: str) -> None:
    page = _signed_in(instance, browser)
    page.goto(address)
    page.locator(f".shot:nth-child({MANY})").wait_for(state="attached")
    page.wait_for_timeout(2000)
    _say(f"{MANY:,} tiles: {_memory(page)}\n")
    cookies = {str(cookie["name"]): str(cookie["value"]) for cookie in page.context.cookies()}
    page.context.close()
    with httpx.Client(base_url=instance.url, cookies=cookies, trust_env=False) as client:
        polls = Polls(client, f"{address}changes/")
        _row("the page", [_get(client, address) for _ in range(REPEATS)])
        _row("a first poll, 500 jobs", [Polls(client, polls.address)()[0] for _ in range(REPEATS)])
        polls.to_the_end()
        _row(
            f"a poll with {CHANGED} changes",
            [_after(lambda: _touch(instance, CHANGED), polls, 200) for _ in range(REPEATS)],
        )
        _row("a poll without a change, 304", [_after(polls.to_the_end, polls, 304) for _ in range(REPEATS)])


def _get(client: httpx.Client, address: str) -> float:
    began = time.perf_counter()
    client.get(address).raise_for_status()
    return 1000 * (time.perf_counter() - began)


def _after(act: Callable[[], None], polls: Polls, status: int) -> float:
    act()
    milliseconds, response = polls()
    if response.status_code != status:
        raise RuntimeError(f"HTTP {response.status_code} instead of {status}")
    return milliseconds


def _measure_page(instance: Instance, browser: Browser, address: str) -> None:
    page = _signed_in(instance, browser)
    page.goto(address)
    page.locator(f".shot:nth-child({SOME})").wait_for(state="attached")
    wire = page.context.new_cdp_session(page)
    wire.send("Performance.enable")
    script: list[float] = []
    before = _metrics(wire)
    for _ in range(REPEATS):
        page.evaluate("performance.clearMeasures()")
        _touch(instance, 1)
        while not (durations := page.evaluate(DRAWN)):
            page.wait_for_timeout(100)  # Playwright's own waiting needs eval, which the page's policy forbids
        script += durations
    after = _metrics(wire)
    _row(f"script for a changed tile of {SOME}", script)
    names = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")
    each = {name: 1000 * (after[name] - before[name]) / REPEATS for name in names}
    _say(
        f"{'':10}a change, polls in between included: "
        + ", ".join(f"{n} {v:.1f} ms" for n, v in each.items())
        + "\n"
    )


def _memory(page: Page) -> str:
    wire = page.context.new_cdp_session(page)
    wire.send("Performance.enable")
    wire.send("HeapProfiler.collectGarbage")
    metrics = _metrics(wire)
    return f"{metrics['JSHeapUsedSize'] / 2**20:.1f} MiB of JavaScript's heap, {metrics['Nodes']:,.0f} nodes"


def _metrics(wire: Any) -> dict[str, float]:
    return {metric["name"]: metric["value"] for metric in wire.send("Performance.getMetrics")["metrics"]}


def _filled(instance: Instance, count: int) -> str:
    """Return the address of a batch whose changes are old."""
    command = [sys.executable, "-m", "tests.site.batch_scene", str(count)]
    made = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=instance.env, capture_output=True, text=True, check=True
    )
    with closing(sqlite3.connect(instance.data_dir / "db.sqlite3", timeout=30)) as database, database:
        database.execute("UPDATE jobs_job SET updated_at = ?", [str(_now() - OLD)])
    return made.stdout


def _touch(instance: Instance, count: int) -> None:
    """Change so many of the newest batch's pictures, as a worker does."""
    newest = "SELECT id FROM jobs_batch ORDER BY created_at DESC LIMIT 1"
    choice = f"SELECT id FROM jobs_job WHERE batch_id = ({newest}) ORDER BY updated_at LIMIT ?"  # noqa: S608
    with closing(sqlite3.connect(instance.data_dir / "db.sqlite3", timeout=30)) as database, database:
        keys = [key for (key,) in database.execute(choice, [count])]
        for key in keys:
            database.execute("UPDATE jobs_job SET updated_at = ? WHERE id = ?", [str(_now()), key])


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _signed_in(instance: Instance, browser: Browser) -> Page:
    page = browser.new_context(base_url=instance.url, viewport={"width": 1280, "height": 900}).new_page()
    page.goto(instance.login_link())
    return page


def _row(name: str, milliseconds: list[float]) -> None:
    ordered = sorted(milliseconds)
    _say(f"{median(ordered):8.1f} ms  {name} ({ordered[0]:.1f} to {ordered[-1]:.1f})\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
