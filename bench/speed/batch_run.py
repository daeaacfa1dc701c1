"""Time a batch in a real browser beside a plain loop over the engine: ``python -m bench.speed.batch_run``.

A drops a folder of photos on the workspace, starts the batch, and waits until the page shows the last result.
B sends the same photos to the same engine, as many at once as the worker has threads, and writes each result
to a file. They take turns (A-B-A-B).
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
from playwright.sync_api import Browser, expect, sync_playwright

from engine.config import ROOT, Config
from tests.site.conftest import FLAGS, page_on
from tests.site.instance import Instance, running
from tests.site.three_hundred import shoot

AIM = 0.95
THREADS = 2  # of the worker, by default
PATIENCE_MILLISECONDS = 3_600_000


def main(arguments: Sequence[str]) -> int:
    options = _parsed(arguments)
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="b") as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with running(folder / "data", PIXIAN_API_URL="embedded") as instance:
            for repeat in range(options.repeats):
                # No photo is like one of an earlier repeat, which would be used again for nothing.
                photos = shoot(folder / str(repeat), options.photos, options.side + repeat)
                ours.append(_batch(browser, instance, photos))
                theirs.append(_loop(instance, photos, folder / f"results{repeat}"))
        browser.close()
    ratio = median(theirs) / median(ours)
    sys.stdout.write(
        f"{options.photos} photos of {options.side}², from the drop to the last result: "
        f"{_rate(options.photos, ours)}; plain loop over the engine {_rate(options.photos, theirs)} images a "
        f"minute; ratio {ratio:.2f}, aim {AIM} at least\n"
    )
    return 0


def _batch(browser: Browser, instance: Instance, photos: Path) -> float:
    """Return the seconds from the choice of the folder to the last result on the page."""
    count = sum(1 for path in photos.rglob("*") if path.is_file())
    with page_on(browser, instance) as page:
        page.goto(instance.login_link())
        with page.expect_file_chooser() as chooser:
            page.locator("[data-pick=folder]").click()
        began = time.monotonic()
        chooser.value.set_files(photos)
        page.locator("#uploads .plan [data-do=start]").click(timeout=PATIENCE_MILLISECONDS)
        if (dialog := page.get_by_role("dialog")).count():
            dialog.locator("button[value=yes]").click()
        expect(page).to_have_url(re.compile("/batches/"))
        expect(page.locator("[data-summary]")).to_have_text(f"{count} of {count} done")
        return time.monotonic() - began


def _loop(instance: Instance, photos: Path, results: Path) -> float:
    """Return the seconds that the engine takes for the same photos without anything around it."""
    results.mkdir()
    known = Config(data_dir=instance.data_dir, models_dir=ROOT / "models").credentials
    credentials = (known.api_id, known.api_secret)
    files = [path for path in photos.rglob("*") if path.is_file()]
    transport = httpx.HTTPTransport(uds=str(instance.data_dir / "engine.sock"))
    with httpx.Client(transport=transport, auth=credentials, timeout=600) as client:

        def cut_out(photo: Path) -> None:
            form = {"output.format": "delta_png"}  # as a batch asks
            response = client.post(
                "http://engine/api/v2/remove-background", data=form, files={"image": photo.read_bytes()}
            )
            response.raise_for_status()
            (results / f"{photo.stem}.png").write_bytes(response.content)

        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(cut_out, files))
        return time.monotonic() - began


def _rate(photos: int, times: Sequence[float]) -> str:
    rates = sorted(60 * photos / seconds for seconds in times)
    return f"{median(rates):.0f} ({rates[0]:.0f} to {rates[-1]:.0f})"


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed.batch_run", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--side", type=int, default=600, help="of a photo, in pixels")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
