"""Hundreds of pictures taken in by a real browser: before the start, while uploading, and what goes wrong."""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Browser, Dialog, Page, Request, Route, expect

from conftest import PHOTOS
from tests.site.conftest import login_link, page_on
from tests.site.instance import Instance
from tests.site.intake_server import IntakeServer
from tests.site.test_dropping import drop
from tests.site.test_first_light import passes_axe

pytestmark = pytest.mark.browser

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")


@pytest.fixture
def server(owner_page: Page) -> Iterator[IntakeServer]:
    """Answer the intake's requests on the owner's page. What the CSP refuses fails the test."""
    refused: list[str] = []
    owner_page.on("console", lambda message: refused.append(message.text))
    yield IntakeServer(owner_page).start()
    assert [text for text in refused if "Content Security Policy" in text] == []


def shot(page: Page, name: str) -> None:
    """Keep a screenshot if somebody wants to look at them."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """Make a nested folder of thirty small photos and some files beside them."""
    folder = tmp_path / "Autumn shoes"
    for number in range(30):
        below = folder / ("red" if number % 2 else "red/high heels")
        below.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + number, 30), (number, 99, 99)).save(below / f"SKU-{number}.jpg")
    for name in ("notes.txt", "price list.pdf", "red/.DS_Store"):
        (folder / name).write_text("no picture")
    return folder


def test_a_folder_is_priced_before_anything_starts(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    drop(owner_page, shoot)
    plan = owner_page.locator("#uploads .plan")
    expect(plan.get_by_role("heading")).to_have_text("Autumn shoes")
    expect(plan).to_contain_text("30 pictures")
    expect(plan).to_contain_text("about 24 credits, at most 30 · 99 available")
    expect(plan).to_contain_text("2 other files left out")
    assert server.uploads == []
    assert list(server.batches.values()) == ["Autumn shoes"]
    files = sorted(server.files.values(), key=lambda file: file["number"])
    assert [file["number"] for file in files] == [*range(1, 31)]
    assert {file["folder"] for file in files} == {"Autumn shoes/red", "Autumn shoes/red/high heels"}
    assert [file["name"] for file in files][:3] == ["SKU-1.jpg", "SKU-3.jpg", "SKU-5.jpg"]
    shot(owner_page, "plan")

    plan.get_by_role("button", name="Start", exact=True).click()
    expect(owner_page.locator("#uploads")).to_contain_text("All 30 pictures are uploaded.")
    expect(owner_page).to_have_url(re.compile("/batches/[0-9a-f-]{36}/$"))
    expect(owner_page).to_have_title("A batch")
    assert sorted(server.uploads) == sorted(server.files)
    shot(owner_page, "uploaded")


def test_too_few_credits_offer_three_ways(owner_page: Page, server: IntakeServer, shoot: Path) -> None:
    server.fits = 12
    drop(owner_page, shoot)
    plan = owner_page.locator("#uploads .plan")
    expect(plan).to_contain_text("enough for 12 pictures. The others are uploaded and kept")
    expect(plan.get_by_role("button", name="Start 12 now, keep 18 for later")).to_be_visible()
    expect(plan.get_by_role("button", name="Choose which")).to_be_visible()


def test_chosen_ones_become_a_batch_of_their_own(owner_page: Page, server: IntakeServer, shoot: Path) -> None:
    server.fits = 12
    drop(owner_page, shoot)
    owner_page.get_by_role("button", name="Choose which").click()
    dialog = owner_page.get_by_role("dialog")
    expect(dialog).to_contain_text("12 pictures chosen")
    dialog.get_by_role("button", name="None").click()
    expect(dialog.get_by_role("button", name="Keep only these")).to_be_disabled()
    for name in ("SKU-4.jpg", "SKU-10.jpg"):
        dialog.get_by_label(name).check()
    shot(owner_page, "choose")
    server.files.clear()
    expect(dialog).to_contain_text("2 pictures chosen")
    dialog.get_by_role("button", name="Keep only these").click()
    expect(owner_page.locator("#uploads .plan .lead")).to_have_text(re.compile("^2 pictures"))
    assert sorted(file["name"] for file in server.files.values()) == ["SKU-10.jpg", "SKU-4.jpg"]
    assert sorted(file["number"] for file in server.files.values()) == [1, 2]
    assert len(server.batches) == 2


def test_what_was_left_out_can_be_added_again(owner_page: Page, server: IntakeServer, shoot: Path) -> None:
    server.fits = 12
    drop(owner_page, shoot)
    owner_page.get_by_role("button", name="Choose which").click()
    dialog = owner_page.get_by_role("dialog")
    dialog.get_by_role("button", name="None").click()
    for name in ("SKU-4.jpg", "SKU-10.jpg"):
        dialog.get_by_label(name).check()
    server.files.clear()
    dialog.get_by_role("button", name="Keep only these").click()
    plan = owner_page.locator("#uploads .plan")
    expect(plan.locator(".lead")).to_have_text(re.compile("^2 pictures"))
    drop(owner_page, shoot / "red/SKU-1.jpg", shoot / "red/high heels/SKU-4.jpg")
    expect(plan.locator(".lead")).to_have_text(re.compile("^3 pictures"))
    expect(plan).to_contain_text("1 file: the same picture twice")
    assert sorted(file["number"] for file in server.files.values()) == [1, 2, 3]


def test_duplicates_cost_nothing_and_are_not_sent(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    server.duplicates = 4
    drop(owner_page, shoot)
    box = owner_page.get_by_role("checkbox", name="4 pictures were already cut out: use them for 0 credits")
    expect(box).to_be_checked()
    expect(owner_page.locator("#uploads .plan .lead")).to_have_text(re.compile("^26 pictures"))
    box.uncheck()
    expect(owner_page.locator("#uploads .plan .lead")).to_have_text(re.compile("^30 pictures"))
    box.check()
    expect(owner_page.locator("#uploads .plan .lead")).to_have_text(re.compile("^26 pictures"))
    owner_page.get_by_role("button", name="Start", exact=True).click()
    expect(owner_page.locator("#uploads")).to_contain_text("All 26 pictures are uploaded.")
    assert len(server.reused) == 4
    assert {*server.uploads, *server.reused} == {*server.files}
    assert not {*server.uploads} & {*server.reused}


def test_cut_outs_that_were_erased_meanwhile_are_priced_before_they_are_sent(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    server.duplicates, server.erased = 4, 1
    drop(owner_page, shoot)
    plan = owner_page.locator("#uploads .plan")
    expect(plan.locator(".lead")).to_have_text(re.compile("^26 pictures"))
    start(owner_page)
    expect(plan.locator(".lead")).to_have_text(re.compile("^27 pictures"))
    expect(plan.get_by_role("alert")).to_contain_text("were deleted in the meantime")
    expect(plan.get_by_role("checkbox")).to_be_hidden()
    assert (len(server.reused), len(server.uploads)) == (3, 0)
    start(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("All 27 pictures are uploaded.")
    assert sorted([*server.uploads, *server.reused]) == sorted(server.files)


def test_if_all_were_cut_out_before_no_price_is_named(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    server.duplicates = 30
    drop(owner_page, shoot)
    plan = owner_page.locator("#uploads .plan")
    expect(plan.get_by_role("checkbox", name="30 pictures were already cut out")).to_be_checked()
    expect(plan.locator(".lead")).to_have_text("99 available")
    plan.get_by_role("button", name="Use them · 0 credits").click()
    expect(owner_page.locator("#uploads .plan")).to_have_count(0)
    assert (len(server.reused), len(server.uploads)) == (30, 0)


def many(folder: Path, count: int) -> Path:
    """Make a folder of tiny pictures, each of its own content."""
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (3, 3), (number % 256, number // 256, 7)).save(folder / f"{number}.png")
    return folder


def test_above_fifty_a_person_confirms_the_numbers(
    owner_page: Page, server: IntakeServer, tmp_path: Path
) -> None:
    server.fits = 40
    drop(owner_page, many(tmp_path / "many", 51))
    start = owner_page.locator("#uploads").get_by_role("button", name="Start 40 now, keep 11 for later")
    start.click()
    dialog = owner_page.get_by_role("dialog", name="Start 40 pictures?")
    for fact in (
        "All 51 together cost at most 30 credits",
        "69 credits stay available",
        "11 pictures are kept",
    ):
        expect(dialog).to_contain_text(fact)
    shot(owner_page, "confirm")
    dialog.get_by_role("button", name="Not yet").click()
    expect(dialog).to_be_hidden()
    assert server.uploads == []
    start.click()
    dialog.get_by_role("button", name="Start 40 now").click()
    expect(owner_page.locator("#uploads")).to_contain_text("All 51 pictures are uploaded.")


def test_one_picture_is_tried_for_free(owner_page: Page, server: IntakeServer, shoot: Path) -> None:
    drop(owner_page, shoot)
    owner_page.get_by_role("button", name="Try one picture · 0 credits").click()
    test = owner_page.locator("#uploads figure")
    expect(test).to_contain_text("SKU-1.jpg would cost 0.24 credits. This test cost 0 credits.")
    expect(test.get_by_role("img")).to_be_visible()
    assert server.uploads == []


def test_a_lost_line_and_a_failing_server_cost_nothing_but_time(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    server.fail("/upload/", times=5)
    server.fail("/upload/", times=2, status=503)
    drop(owner_page, shoot)
    owner_page.get_by_role("button", name="Start", exact=True).click()
    expect(owner_page.locator("#uploads")).to_contain_text("The line to the server is lost")
    shot(owner_page, "offline")
    expect(owner_page.locator("#uploads")).to_contain_text("All 30 pictures are uploaded.")
    assert sorted(server.uploads) == sorted(server.files)


def retry_the_one_file(page: Page) -> None:
    uploads = page.locator("#uploads")
    expect(uploads).to_contain_text("1 file: not uploaded yet")
    uploads.get_by_role("button", name="Retry").click()
    expect(uploads).to_contain_text("1 picture is uploaded.")


def hurry(page: Page) -> None:
    """Let the browser always say that the line is back, and other waits take a twentieth of their time."""
    page.evaluate("setInterval(() => dispatchEvent(new Event('online')), 50)")
    page.evaluate(
        "(wait => { window.setTimeout = (act, milliseconds) => wait(act, milliseconds / 20); })(setTimeout)"
    )


def test_coming_back_to_the_window_takes_none_of_a_busy_servers_tries(
    owner_page: Page, server: IntakeServer, large: Path
) -> None:
    """A person goes to and fro during a restart; only a line that was lost is tried again at once."""
    tries: list[float] = []
    events = "for (const name of ['online', 'focus']) setInterval(() => dispatchEvent(new Event(name)), 50)"

    def restart(route: Route) -> bool:
        is_upload = "/upload/" in route.request.url
        if is_upload:
            tries.append(time.monotonic())
        if is_upload and len(tries) <= 5:
            route.abort("connectionreset")
            return True
        if is_upload and time.monotonic() < tries[5] + 2.5:
            route.fulfill(status=503, headers={"Retry-After": "3"})
            return True
        return False

    server.faults.append(restart)
    owner_page.evaluate(events)
    drop(owner_page, large)
    start(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("1 picture is uploaded.")
    assert len(tries) == 7
    assert tries[5] - tries[0] < 16  # of 31 seconds
    assert tries[6] - tries[5] >= 3


def test_lost_lines_take_none_of_a_busy_servers_tries(
    owner_page: Page, server: IntakeServer, large: Path
) -> None:
    hurry(owner_page)
    for _ in range(2):
        server.fail("/upload/", times=6)
        server.fail("/upload/", times=4, status=503)
    drop(owner_page, large)
    start(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("1 picture is uploaded.")


def test_a_server_that_stays_busy_is_tried_five_times(
    owner_page: Page, server: IntakeServer, large: Path
) -> None:
    hurry(owner_page)
    server.fail("/upload/", times=6)
    server.fail("/upload/", times=5, status=503)
    drop(owner_page, large)
    start(owner_page)
    retry_the_one_file(owner_page)


def test_a_batchs_page_comes_to_life_though_the_line_was_lost(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    tries: list[str] = []
    server.module = "/alive.js"

    def answer(route: Route) -> None:
        tries.append(route.request.url)
        if len(tries) < 3:
            route.abort()
        else:
            route.fulfill(body="document.title = 'alive';", content_type="text/javascript")

    owner_page.route("**/alive.js", answer)
    drop(owner_page, shoot)
    owner_page.get_by_role("button", name="Start", exact=True).click()
    expect(owner_page).to_have_title("alive")
    expect(owner_page.locator("#uploads")).to_contain_text("All 30 pictures are uploaded.")


def test_a_sign_out_in_the_middle_goes_on_in_the_same_tab(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    drop(owner_page, shoot)
    start = owner_page.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_visible()
    cookies = owner_page.context.cookies()
    owner_page.context.clear_cookies(name=re.compile("session"))
    server.fail("/upload/", times=4, status=401, text="You are signed out.")
    start.click()
    link = owner_page.get_by_role("link", name="Sign in in a new tab")
    expect(link).to_be_visible()
    expect(owner_page.locator("#uploads")).to_contain_text("uploading then goes on here by itself")
    owner_page.context.add_cookies(cookies)  # type: ignore[arg-type]
    expect(owner_page.locator("#uploads")).to_contain_text("All 30 pictures are uploaded.")
    expect(link).to_be_hidden()
    assert sorted(server.uploads) == sorted(server.files)


def test_before_the_start_too_a_lost_line_is_waited_for(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    server.fail("/files/", times=2)
    drop(owner_page, shoot)
    expect(owner_page.locator("#uploads")).to_contain_text("The line to the server is lost")
    expect(owner_page.locator("#uploads .plan")).to_contain_text("30 pictures")
    expect(owner_page.locator("#uploads")).not_to_contain_text("The line to the server is lost")


def test_a_test_that_is_refused_says_why(owner_page: Page, server: IntakeServer, shoot: Path) -> None:
    server.fail("/test-picture/", status=429, text="You can test 6 pictures a minute.")
    drop(owner_page, shoot)
    owner_page.get_by_role("button", name="Try one picture").click()
    expect(owner_page.get_by_role("alert")).to_have_text("You can test 6 pictures a minute.")
    expect(owner_page.get_by_role("button", name="Start", exact=True)).to_be_enabled()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Make a picture of three chunks."""
    path = tmp_path / "large.bmp"
    Image.frombytes("RGB", (1300, 1300), os.urandom(1300 * 1300 * 3)).save(path)
    return path


def test_a_large_file_goes_in_chunks_and_on_from_where_it_was(
    owner_page: Page, server: IntakeServer, large: Path
) -> None:
    server.fail("offset=2097152", times=2)
    drop(owner_page, large)
    owner_page.get_by_role("button", name="Start", exact=True).click()
    expect(owner_page.locator("#uploads")).to_contain_text("1 picture is uploaded.")
    (content,) = server.chunks.values()
    assert content == large.read_bytes()
    assert len(server.uploads) == 1


def test_a_chunk_whose_answer_was_lost_is_not_sent_twice(
    owner_page: Page, server: IntakeServer, large: Path
) -> None:
    lost: list[str] = []

    def lose_the_answer(route: Route) -> bool:
        if "offset=0" not in route.request.url or lost:
            return False
        lost.append(route.request.url)
        key = route.request.url.split("/")[-2]
        server.chunks[key] = route.request.post_data_buffer or b""
        route.abort("connectionreset")
        return True

    server.faults.append(lose_the_answer)
    drop(owner_page, large)
    owner_page.get_by_role("button", name="Start", exact=True).click()
    expect(owner_page.locator("#uploads")).to_contain_text("1 picture is uploaded.")
    (content,) = server.chunks.values()
    assert content == large.read_bytes()


@pytest.mark.parametrize("is_cut", [False, True], ids=["times out", "is cut off by the server"])
def test_over_a_slow_line_less_is_sent_at_once(
    owner_page: Page, server: IntakeServer, large: Path, tmp_path: Path, *, is_cut: bool
) -> None:
    """Smaller parts, one after the other, and as much as before once they were quick."""
    small = tmp_path / "small.bmp"
    Image.frombytes("RGB", (600, 600), os.urandom(600 * 600 * 3)).save(small)
    sizes: list[int] = []

    def note(request: Request) -> None:
        if "offset=" in request.url:
            sizes.append(len(request.post_data_buffer or b""))

    def take_long(route: Route) -> bool:
        takes_long = "offset=" in route.request.url or "/upload/" in route.request.url
        if takes_long and is_cut:
            time.sleep(1)
            route.abort("connectionreset")
        return takes_long

    server.faults.append(take_long)
    owner_page.on("request", note)
    hurry(owner_page)
    drop(owner_page, large, small)
    start(owner_page)
    uploads = owner_page.locator("#uploads")
    expect(uploads).to_contain_text("The line is slow, so less is sent at once.")
    server.faults.clear()
    expect(uploads).to_contain_text("All 2 pictures are uploaded.")
    assert sizes[:2] == [2 << 20, 512 << 10]
    assert sizes[-1] > min(sizes)
    assert large.read_bytes() in server.chunks.values()
    assert sorted(server.uploads) == sorted(server.files)


def test_a_lost_line_is_no_more_said_once_the_next_try_runs(
    owner_page: Page, server: IntakeServer, large: Path
) -> None:
    server.fail("/chunks/")
    drop(owner_page, large)
    start(owner_page)
    uploads = owner_page.locator("#uploads")
    server.faults.append(lambda route: "/chunks/" in route.request.url)  # it never gets an answer
    expect(uploads).to_contain_text("The line to the server is lost")
    expect(uploads).not_to_contain_text("The line to the server is lost")
    expect(uploads).to_contain_text("Uploading: 0 of 1")


def test_a_large_file_that_changed_is_sent_once(owner_page: Page, large: Path) -> None:
    """Let the real server refuse it, which discards its chunks: those aren't missing."""
    sent: list[str] = []

    def list_as_another(route: Route) -> None:
        (file,) = route.request.post_data_json["files"]  # type: ignore[index]
        route.continue_(post_data=json.dumps({"files": [file | {"sha256": "0" * 64}]}))

    owner_page.route("**/files/", list_as_another)
    owner_page.on("request", lambda request: sent.append(request.url.rpartition("?")[2]))
    drop(owner_page, large)
    start(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("1 file: This file has changed since it was")
    offsets = [each for each in sent if each.startswith("offset=")]
    assert offsets == ["offset=0", "offset=2097152", "offset=4194304"]


@pytest.mark.parametrize("fragment", ["/plan/", "/chunks/", "/upload/"])
def test_a_page_of_somebody_on_the_way_is_a_lost_line(
    owner_page: Page, server: IntakeServer, large: Path, fragment: str
) -> None:
    """A hotel's Wi-Fi answers like this until its guest has signed in."""
    server.fail(fragment, times=2, status=200, text="<!doctype html><title>Welcome to the hotel</title>")
    drop(owner_page, large)
    start(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("1 picture is uploaded.")
    (content,) = server.chunks.values()
    assert content == large.read_bytes()
    assert len(server.uploads) == 1


class HalfAnswer(BaseHTTPRequestHandler):
    """Answer with headers and a part of the body, then cut the line."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "20")
        self.end_headers()
        self.wfile.write(b'{"received": ')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def half_answer() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), HalfAnswer) as answering:
        threading.Thread(target=answering.serve_forever).start()
        yield f"http://127.0.0.1:{answering.server_port}"
        answering.shutdown()


def test_a_line_that_is_lost_within_an_answer_is_waited_for(
    owner_page: Page, server: IntakeServer, large: Path, half_answer: str
) -> None:
    server.divert("/chunks/", half_answer)
    drop(owner_page, large)
    start(owner_page)
    uploads = owner_page.locator("#uploads")
    expect(uploads).to_contain_text("The line to the server is lost")
    expect(uploads).to_contain_text("1 picture is uploaded.")
    (content,) = server.chunks.values()
    assert content == large.read_bytes()


def test_an_answer_that_makes_no_sense_holds_nothing_up(
    owner_page: Page, server: IntakeServer, large: Path
) -> None:
    server.fail("/chunks/", status=200, text="null")
    drop(owner_page, large)
    start(owner_page)
    retry_the_one_file(owner_page)


def test_paused_and_gone_on(owner_page: Page, server: IntakeServer, shoot: Path) -> None:
    server.fail("/upload/", times=8)
    drop(owner_page, shoot)
    owner_page.get_by_role("button", name="Start", exact=True).click()
    uploads = owner_page.locator("#uploads")
    uploads.get_by_role("button", name="Pause uploading").click()
    expect(uploads).to_contain_text("Uploading is paused: 0 of 30")
    uploads.get_by_role("button", name="Go on uploading").click()
    expect(uploads).to_contain_text("All 30 pictures are uploaded.")
    assert sorted(server.uploads) == sorted(server.files)


def test_what_the_server_refuses_is_grouped_and_the_rest_goes_on(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    server.fail("/upload/", times=3, status=400, text="This isn't a picture we can read.")
    server.fail("/upload/", times=1, status=507, text="The server's disk is full.")
    drop(owner_page, shoot)
    owner_page.get_by_role("button", name="Start", exact=True).click()
    uploads = owner_page.locator("#uploads")
    expect(uploads).to_contain_text("3 files: This isn't a picture we can read.")
    expect(uploads).to_contain_text("1 file: The server's disk is full.")
    expect(uploads).to_contain_text("26 of 27 are uploaded")
    shot(owner_page, "refused")
    uploads.get_by_role("button", name="Retry").click()
    expect(uploads).to_contain_text("All 27 pictures are uploaded.")


def test_every_bad_file_says_what_is_wrong_with_it(
    owner_page: Page, server: IntakeServer, tmp_path: Path
) -> None:
    folder = many(tmp_path / "mixed", 3)
    (folder / "empty.jpg").touch()
    (folder / "<img src=x onerror=alert(1)>.png").write_text("no picture")
    (folder / "evil\u202egpj.exe.jpg").write_text("no picture")
    (folder / f"{'n' * 240}.png").write_text("no picture")
    (folder / "copy of 0.png").write_bytes((folder / "0.png").read_bytes())
    with (folder / "huge.bmp").open("wb") as huge:
        huge.truncate(40_000_000)
    drop(owner_page, folder)
    plan = owner_page.locator("#uploads .plan")
    expect(plan).to_contain_text("4 pictures")  # the huge one is the server's to refuse
    expect(plan).to_contain_text("3 files: not a picture we can read")
    expect(plan).to_contain_text("1 file: empty")
    expect(plan).to_contain_text("1 file: the same picture twice")
    plan.get_by_text("3 files: not a picture we can read").click()
    expect(plan.get_by_text("<img src=x onerror=alert(1)>.png")).to_be_visible()
    shot(owner_page, "bad")
    assert owner_page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_folder_without_pictures_says_so(owner_page: Page, server: IntakeServer, tmp_path: Path) -> None:
    (tmp_path / "taxes").mkdir()
    (tmp_path / "taxes/2026.txt").write_text("none")
    drop(owner_page, tmp_path / "taxes")
    notice = owner_page.locator("#uploads .notice")
    expect(notice).to_contain_text("There are no pictures in what you chose. Nothing was uploaded.")
    expect(notice).to_contain_text("1 other file left out")
    notice.get_by_role("button", name="Dismiss").click()
    expect(notice).to_have_count(0)
    assert server.batches == {}


def test_a_file_that_changed_meanwhile_is_no_lost_line(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    drop(owner_page, shoot)
    start = owner_page.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_visible()
    (shoot / "red/SKU-1.jpg").unlink()
    start.click()
    uploads = owner_page.locator("#uploads")
    expect(uploads).to_contain_text("1 file: cannot be read")
    expect(uploads).to_contain_text("All 29 pictures are uploaded.")


def test_more_than_a_batch_takes(owner_page: Page, server: IntakeServer, tmp_path: Path) -> None:
    drop(owner_page, many(tmp_path / "many", 2001))
    plan = owner_page.locator("#uploads .plan")
    expect(plan).to_contain_text("2,000 pictures", timeout=60_000)
    expect(plan).to_contain_text("A batch takes 2,000 pictures, so 1 was left out.")
    assert len(server.files) == 2000


def test_more_pictures_join_before_the_start(owner_page: Page, server: IntakeServer, shoot: Path) -> None:
    drop(owner_page, shoot)
    expect(owner_page.locator("#uploads .plan")).to_contain_text("30 pictures")
    with owner_page.expect_file_chooser() as chooser:
        # Not by the keyboard, whose key may overtake Playwright's word to the page to hand the chooser over.
        owner_page.locator("body").press("u")
    chooser.value.set_files([PHOTOS / "coffee.jpg", shoot / "red/SKU-1.jpg"])
    expect(owner_page.locator("#uploads .plan")).to_contain_text("31 pictures")
    expect(owner_page.locator("#uploads .plan")).to_contain_text("1 file: the same picture twice")
    assert sorted(file["number"] for file in server.files.values()) == [*range(1, 32)]


def start(page: Page) -> None:
    page.get_by_role("button", name="Start", exact=True).click()


def asks_before_it_closes(page: Page) -> object:
    return page.evaluate("() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true }))")


def test_the_tab_asks_before_it_closes_only_while_it_uploads(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    server.fail("/upload/", times=4)
    drop(owner_page, shoot)
    expect(owner_page.locator("#uploads .plan")).to_be_visible()
    assert not asks_before_it_closes(owner_page)
    start(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("The line to the server is lost")
    assert asks_before_it_closes(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("All 30 pictures are uploaded.")
    assert not asks_before_it_closes(owner_page)


def test_a_link_within_the_page_leaves_the_upload_alone(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    owner_page.on("dialog", leave)
    server.fail("/upload/", times=99)
    drop(owner_page, shoot)
    start(owner_page)
    expect(owner_page).to_have_url(re.compile("/batches/[^#]*$"))
    owner_page.locator("a.skip").press("Enter")
    expect(owner_page).to_have_url(re.compile("#main$"))
    owner_page.go_back()
    expect(owner_page.locator("#uploads")).to_contain_text("Uploading: 0 of 30")
    assert asked == []
    owner_page.go_back()
    expect(owner_page.locator(".workspace")).to_be_visible()
    assert asked == ["beforeunload"]


def test_after_a_restart_the_rest_is_chosen_again_and_nothing_comes_twice(
    owner_page: Page, server: IntakeServer, shoot: Path, tmp_path: Path
) -> None:
    def cut_after_ten(route: Route) -> bool:
        cut = "/upload/" in route.request.url and len(server.uploads) >= 10
        if cut:
            route.abort()
        return cut

    server.faults.append(cut_after_ten)
    drop(owner_page, shoot)
    start(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("The line to the server is lost")
    expect(owner_page).to_have_url(re.compile("/batches/"))
    address = owner_page.url
    context = owner_page.context
    owner_page.close()
    server.faults.clear()

    page = context.new_page()
    page.goto(address)
    missing = page.locator("#uploads")
    expect(missing).to_contain_text("20 pictures of this batch have not been uploaded")
    missing.get_by_text("Show the 20 names").click()
    expect(missing.get_by_role("listitem")).to_have_count(20)
    shot(page, "missing")
    passes_axe(page)

    stranger = tmp_path / "stranger.jpg"
    Image.new("RGB", (9, 9)).save(stranger)
    drop(page, stranger)
    expect(missing).to_contain_text("None of these files is missing here")
    (shoot / "red/SKU-1.jpg").rename(shoot / "red/renamed.jpg")
    drop(page, shoot)
    expect(missing).to_contain_text("All 20 pictures are uploaded.")
    expect(missing).to_contain_text("10 files were left out")
    expect(missing).not_to_contain_text("have not been uploaded")
    assert sorted(server.uploads) == sorted(server.files)
    drop(page, shoot)
    expect(missing).to_contain_text("Nothing of this batch is missing")
    assert len(server.uploads) == 30


def test_what_is_missing_is_looked_for_by_one_timer(
    owner_page: Page, server: IntakeServer, shoot: Path, tmp_path: Path
) -> None:
    """Each drop looks too. Its look puts the next one off, and doesn't begin another series."""
    looks: list[str] = []
    server.fail("/upload/", times=99)
    drop(owner_page, shoot)
    start(owner_page)
    expect(owner_page).to_have_url(re.compile("/batches/"))
    owner_page.clock.install()
    owner_page.reload()
    missing = owner_page.locator("#uploads")
    expect(missing).to_contain_text("30 pictures of this batch have not been uploaded")
    stranger = tmp_path / "stranger.jpg"
    Image.new("RGB", (9, 9)).save(stranger)
    for count in range(1, 4):
        drop(owner_page, stranger)
        expect(missing.get_by_text("None of these files is missing here")).to_have_count(count)
    owner_page.on("request", lambda request: looks.extend(re.findall("/missing/", request.url)))
    for count in range(1, 4):
        with owner_page.expect_response(re.compile("/missing/")):
            owner_page.clock.run_for(15_500)
        assert len(looks) == count


def test_the_rest_of_a_large_file_goes_on_after_a_restart(
    owner_page: Page, server: IntakeServer, large: Path
) -> None:
    server.fail("offset=2097152", times=99)
    drop(owner_page, large)
    start(owner_page)
    expect(owner_page.locator("#uploads")).to_contain_text("The line to the server is lost")
    expect(owner_page).to_have_url(re.compile("/batches/"))
    owner_page.reload()
    server.faults.clear()
    sent: list[str] = []
    owner_page.on("request", lambda request: sent.append(f"{request.method} {request.url[-14:]}"))
    with owner_page.expect_file_chooser() as chooser:
        owner_page.get_by_role("button", name="Choose the files").click()
    chooser.value.set_files(large)
    expect(owner_page.locator("#uploads")).to_contain_text("1 picture is uploaded.")
    assert not [each for each in sent if each.endswith("offset=0")]
    (content,) = server.chunks.values()
    assert content == large.read_bytes()


def test_asking_for_credits_does_not_hold_up_the_start(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    server.fits = 12
    owner_page.eval_on_selector("[data-intake]", "form => { form.dataset.ask = '/t/my-team/credits/ask/' }")
    drop(owner_page, shoot)
    plan = owner_page.locator("#uploads .plan")
    plan.get_by_role("button", name="Ask for 11.5 credits").click()
    expect(plan).to_contain_text("You asked for 11.5 credits.")
    expect(plan.get_by_role("button", name="Ask for")).to_be_hidden()
    (asked,) = server.asked
    assert "11.5" in asked
    assert next(iter(server.batches)) in asked
    plan.get_by_role("button", name="Start 12 now").click()
    expect(owner_page.locator("#uploads")).to_contain_text("All 30 pictures are uploaded.")


def in_theme(page: Page, scheme: Theme) -> None:
    """Change the theme at once: in the middle of a transition no contrast is right."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")


def test_the_panels_are_accessible_in_both_themes(
    owner_page: Page, server: IntakeServer, shoot: Path
) -> None:
    (shoot / "empty.jpg").touch()
    server.fits = 12
    server.duplicates = 3
    drop(owner_page, shoot)
    plan = owner_page.locator("#uploads .plan")
    plan.get_by_role("button", name="Try one picture").click()
    expect(plan.get_by_role("img")).to_be_visible()
    for scheme in THEMES:
        in_theme(owner_page, scheme)
        passes_axe(owner_page)
        shot(owner_page, f"plan-{scheme}")
    plan.get_by_role("button", name="Choose which").click()
    passes_axe(owner_page)
    shot(owner_page, "choose-dark")
    owner_page.keyboard.press("Escape")
    owner_page.get_by_role("button", name="Fetch from addresses").click()
    passes_axe(owner_page)
    shot(owner_page, "urls-dark")
    owner_page.keyboard.press("Escape")
    server.fail("/upload/", times=99)
    start_some = plan.get_by_role("button", name="Start 12 now")
    start_some.click()
    for scheme in reversed(THEMES):
        in_theme(owner_page, scheme)
        expect(owner_page.locator("#uploads")).to_contain_text("The line to the server is lost")
        passes_axe(owner_page)


def test_a_phone_in_french_needs_no_scrolling_sideways(
    browser: Browser, instance: Instance, shoot: Path
) -> None:
    phone = {
        "viewport": {"width": 390, "height": 800},
        "locale": "fr-FR",
        "has_touch": True,
        "is_mobile": True,
    }
    with page_on(browser, instance, **phone) as page:
        server = IntakeServer(page, fits=12, duplicates=3).start()
        page.goto(login_link(instance))
        expect(page.locator("[data-pick=camera]")).to_be_visible()
        assert fits_the_screen(page)
        shot(page, "phone")
        with page.expect_file_chooser() as chooser:
            page.locator("[data-pick=files]").tap()
        chooser.value.set_files(sorted(shoot.rglob("*.jpg")))
        expect(page.locator("#uploads .plan")).to_be_visible()
        assert fits_the_screen(page)
        shot(page, "phone-plan")
        server.fail("/upload/", times=6)
        page.locator("[data-do=start]").tap()
        expect(page.locator("#uploads .uploading")).to_be_visible()
        assert fits_the_screen(page)
        shot(page, "phone-uploading")


def fits_the_screen(page: Page) -> object:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")
