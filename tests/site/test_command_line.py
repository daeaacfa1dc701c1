"""The command-line client, against a web process whose upstream journals each charge."""

import importlib.util
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import ModuleType
from typing import Any

import httpx
import pytest
from PIL import Image

from chaos import proxy, upstream
from chaos.waiting import wait_for
from tests.site import web_alone
from tests.site.instance import ROOT
from tests.site.web_alone import WebAlone

CLIENT = ROOT / "static/client/pixian-web.py"
MEGAPIXEL = 1000, 1000
TWO_DAYS = 2 * 24 * 3600


TEAMS = """
import django
from django.core.management import call_command

django.setup()
for team, credits in ("Rich", "1000"), ("Poor", "2"):
    call_command("setup_team", team, "--owner", "a@example.org", "--credits", credits, "--api-key", "k")
"""


@dataclass(frozen=True)
class Shop:
    """A running site, the upstream behind it, and the keys of a rich and a poor team, as ID:SECRET."""

    web: WebAlone
    upstream: upstream.Server
    key: str
    poor_key: str

    def charges(self, *pictures: bytes) -> list[int]:
        """Return how often each picture was charged for, by the upstream's own journal."""
        self.upstream.wait_idle()
        charges = Counter(charge.sha256 for charge in self.upstream.log().charges if charge.microcredits)
        return [charges[sha256(picture).hexdigest()] for picture in pictures]

    def settled(self, *pictures: bytes) -> list[int]:
        """Return how often the ledger settles a hold for each picture."""
        query = (
            "SELECT COUNT(*) FROM accounts_transfer WHERE kind = 'settle' AND hold_id IN (SELECT hold_id FROM"
            " jobs_attempt JOIN jobs_job ON jobs_job.id = job_id WHERE source_sha256 = ?)"
        )
        with self.database() as database:
            return [
                database.execute(query, [sha256(picture).hexdigest()]).fetchone()[0] for picture in pictures
            ]

    def slow_down(self, seconds: float, *pictures: bytes) -> None:
        """Let the upstream take so long for each of these pictures."""
        for picture in pictures:
            digest = sha256(picture).hexdigest()
            self.upstream.order("answer_picture", digest, {"fault": "ok", "delay": seconds})

    @property
    def in_flight(self) -> int:
        return int(self.upstream.order("status")["in_flight"])

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        path = Path(self.web.env["DATA_DIR"], "db.sqlite3")
        with closing(sqlite3.connect(path)) as database, database:
            yield database


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with (
        tempfile.TemporaryDirectory(prefix="pixian-") as name,
        upstream.running(Path(name, "upstream.log")) as server,
    ):
        settings = {
            "PIXIAN_API_URL": server.url,
            "PIXIAN_API_ID": server.credentials.api_id,
            "PIXIAN_API_SECRET": server.credentials.api_secret,
            "API_CALLS_PER_KEY": "0",
            "API_CALLS_PER_TEAM": "0",
        }
        with web_alone.running(Path(name, "data"), **settings) as web:
            keys = [
                f"{team['api_id']}:{team['api_secret']}"
                for team in map(json.loads, web.run("-c", TEAMS).splitlines())
            ]
            yield Shop(web, server, *keys)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The client as a module, with short waits."""
    spec = importlib.util.spec_from_file_location("client", CLIENT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "client", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.1)
    return module


Run = Callable[..., int]


@pytest.fixture
def run(client: ModuleType, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the client in this process, with the rich team's key, and return its exit code."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PIXIAN_WEB_URL", shop.web.url)
    monkeypatch.setenv("PIXIAN_WEB_KEY", shop.key)
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["pixian-web.py", *map(str, arguments)])
        code: int = client.main()
        return code

    yield run
    signal.signal(signal.SIGTERM, handler)


@contextmanager
def started(shop: Shop, *arguments: str | Path, key: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start the client in a process of its own, and kill it in the end."""
    env = os.environ | {"PIXIAN_WEB_URL": shop.web.url, "PIXIAN_WEB_KEY": key or shop.key}
    command = [sys.executable, str(CLIENT), *map(str, arguments)]
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(
        command, env=env, text=True, stdin=nothing, stdout=pipe, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


wait = partial(wait_for, seconds=30, what="the client's step")


def picture(size: tuple[int, int] = (40, 30)) -> bytes:
    """Return a picture that no other test has."""
    file = io.BytesIO()
    image = Image.new("RGB", size)
    image.putdata([tuple(each) for each in zip(*[iter(os.urandom(36))] * 3, strict=True)])
    image.save(file, "PNG")
    return file.getvalue()


def folder(tmp_path: Path, **pictures: bytes) -> Path:
    path = tmp_path / "photos"
    path.mkdir(exist_ok=True)
    for name, content in pictures.items():
        (path / f"{name}.png").write_bytes(content)
    return path


def results(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*") if path.is_file() and path.name != ".pixian-web.jsonl")
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def result(content: bytes) -> bytes:
    return upstream.result_for(sha256(content).hexdigest())


def several(number: int) -> dict[str, bytes]:
    return {f"p{n}": picture() for n in range(number)}


def test_a_folder_goes_in_and_a_folder_comes_out(run: Run, shop: Shop, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    one, two, three = picture(), picture(), picture()
    (photos / "red/deep").mkdir(parents=True)
    (photos / "a.png").write_bytes(one)
    (photos / "a.jpg").write_bytes(two)
    (photos / 'red/deep/b "é\n.png').write_bytes(three)
    (photos / os.fsdecode(b"\xff.png")).write_bytes(one)
    assert run("remove", photos, "--to", out) == 0
    expected = {"a.png": two, "a.png.png": one, 'red/deep/b "é\n.png': three, "\udcff.png": one}
    assert results(out) == {name: result(content) for name, content in expected.items()}
    assert shop.charges(one, two, three) == shop.settled(one, two, three) == [1, 1, 1]


def test_what_is_done_is_not_done_again_even_under_another_name(
    run: Run, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = picture(), picture()
    photos, out = folder(tmp_path, one=one, two=two), tmp_path / "out"
    assert run("remove", photos, "--to", out) == 0
    calls = len(shop.upstream.log().calls)
    with (out / ".pixian-web.jsonl").open("ab") as journal:
        journal.write(b'{"task": "a line that a crash has torn')
    (photos / "one.png").rename(photos / "uno.png")
    (photos / "sub").mkdir()
    (photos / "sub/copy.png").write_bytes(two)
    assert run("remove", photos, "--to", out) == 0
    assert results(out).keys() == {"one.png", "uno.png", "two.png", "sub/copy.png"}
    assert len(shop.upstream.log().calls) == calls
    capsys.readouterr()
    (out / "two.png").unlink()
    (out / "uno.png").unlink()
    (out / "one.png").unlink()
    assert run("remove", photos, "--to", out) == 0  # deleted results come from the site, and cost nothing
    assert results(out).keys() == {"uno.png", "two.png", "sub/copy.png"}
    assert shop.charges(one, two) == [1, 1]


@pytest.mark.parametrize("mounts", [["card1", "card2", "card3"], ["card", "card", "card"]])
def test_cards_that_number_alike_keep_their_results(
    run: Run, shop: Shop, tmp_path: Path, mounts: list[str]
) -> None:
    """One card is in at a time, at a place of its own or where the one before was."""
    pictures, out = [picture() for _ in mounts], tmp_path / "out"

    def insert(mount: str, content: bytes) -> None:
        card = tmp_path / mount
        card.mkdir()
        (card / "IMG_1.jpg").write_bytes(content)
        assert run("remove", card, "--to", out) == 0
        shutil.rmtree(card)

    for mount, content in zip(mounts, pictures, strict=True):
        insert(mount, content)
    names = "IMG_1.png", "IMG_1.jpg.png", "IMG_1.jpg-2.png"
    expected = {name: result(content) for name, content in zip(names, pictures, strict=True)}
    assert results(out) == expected
    calls = len(shop.upstream.log().calls)
    for content in pictures:
        insert("elsewhere", content)
    assert results(out) == expected
    assert len(shop.upstream.log().calls) == calls
    assert shop.charges(*pictures) == [1, 1, 1]


@pytest.mark.parametrize("step", ["Caller._rename", "Journal.place"])
def test_a_run_that_was_killed_at_a_second_card_goes_on(
    client: ModuleType, run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before the result has its name, and before the journal knows that it has."""
    one, two = picture(), picture()
    photos, out = folder(tmp_path, one=one), tmp_path / "out"
    assert run("remove", photos, "--to", out) == 0
    folder(tmp_path, one=two)

    def die(*_: object) -> None:
        raise client.StopError(client.NOT_WRITABLE, "killed")

    name, _, method = step.partition(".")
    with monkeypatch.context() as patch:
        patch.setattr(getattr(client, name), method, die)
        assert run("remove", photos, "--to", out) == 6
    assert run("remove", photos, "--to", out) == 0
    assert results(out) == {"one.png": result(one), "one.png.png": result(two)}
    assert shop.charges(one, two) == [1, 1]


def test_a_retouched_result_is_left_alone(
    run: Run, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = picture(), picture()
    photos, out = folder(tmp_path, one=one, two=two), tmp_path / "out"
    assert run("remove", photos, "--to", out) == 0
    calls = len(shop.upstream.log().calls)
    (out / "one.png").write_bytes(b"retouched")
    for path in photos.iterdir():
        os.utime(path, (0, 0))
    assert run("remove", photos, "--to", out) == 0
    assert results(out) == {"one.png": b"retouched", "two.png": result(two)}
    assert "edited since, has the result's name: one.png" in capsys.readouterr().out
    assert len(shop.upstream.log().calls) == calls
    (photos / "one.tif").write_bytes(two)  # the name of one.png is taken, but that isn't in its way
    assert run("remove", photos, "--to", out) == 0
    assert results(out) == {"one.png": b"retouched", "two.png": result(two), "one.tif.png": result(two)}


def test_a_file_that_came_while_a_picture_was_sent_is_left_alone(
    client: ModuleType, run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = picture()
    photos, out = folder(tmp_path, one=one), tmp_path / "out"
    plan = client.make_plan

    def plan_and_write(*arguments: object) -> object:
        planned = plan(*arguments)
        (out / "one.png").write_text("somebody's own")
        return planned

    with monkeypatch.context() as patch:
        patch.setattr(client, "make_plan", plan_and_write)
        assert run("remove", photos, "--to", out) == 1
    assert results(out) == {"one.png": b"somebody's own"}
    (out / "one.png").unlink()
    assert run("remove", photos, "--to", out) == 0
    assert results(out) == {"one.png": result(one)}
    assert shop.charges(one) == [1]


def test_options_reach_the_service_and_another_option_is_another_call(
    run: Run, shop: Shop, tmp_path: Path
) -> None:
    one = picture()
    photos, out = folder(tmp_path, one=one), tmp_path / "out"
    assert run("remove", photos, "--to", out, "--background", "ffffff", "--size", "20x30", "--crop") == 0
    assert run("remove", photos, "--to", out, "--test") == 0
    assert results(out).keys() == {"one.jpg", "one.png"}
    query = "SELECT options FROM jobs_job WHERE source_sha256 = ? ORDER BY id"
    with shop.database() as database:
        rows = database.execute(query, [sha256(one).hexdigest()]).fetchall()
    options = {
        "background.color": "#FFFFFF",
        "result.target_size": "20 30",
        "result.crop_to_foreground": "true",
    }
    # The first and third are the free tests: of the price, and the one that was asked for.
    assert [json.loads(text) for (text,) in rows] == [options | {"test": "true"}, options, {"test": "true"}]
    assert run("remove", photos, "--to", out) == 0
    assert results(out).keys() == {"one.jpg", "one.png"}  # it replaces the test's
    assert run("remove", photos, "--to", out, "--max-pixels", "1") == 2


def test_what_cannot_be_cut_out_is_named_and_the_rest_goes_on(
    run: Run, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = picture()
    photos, out = folder(tmp_path, one=one, broken=b"\xff\xd8\xff" * 20, mine=picture()), tmp_path / "out"
    (photos / "notes.txt").write_text("no picture")
    (photos / "huge.png").write_bytes(picture() + bytes(40_000_000))
    (photos / ".hidden.png").write_bytes(picture())
    out.mkdir()
    (out / "mine.png").write_text("somebody's own")
    assert run("remove", photos, "--to", out) == 1
    said = capsys.readouterr().out
    assert "no pictures: notes.txt" in said
    assert "broken.png: 400/1006" in said
    assert "huge.png: 413/1012" in said
    assert "mine.png" in said
    assert results(out) == {"one.png": result(one), "mine.png": b"somebody's own"}
    jobs = "SELECT COUNT(*) FROM jobs_job"
    with shop.database() as database:
        before = database.execute(jobs).fetchone()
    assert run("remove", photos, "--to", out) == 1
    assert "--again" in capsys.readouterr().out
    with shop.database() as database:
        assert database.execute(jobs).fetchone() == before


def test_more_than_fifty_are_asked_for(
    run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = several(51)
    photos, out = folder(tmp_path, **pictures), tmp_path / "out"
    assert run("remove", photos, "--to", out) == 2
    said = capsys.readouterr()
    assert "51 pictures to send, 0.1 megapixels: 0.0612 credits at most" in said.out
    assert "--yes" in said.err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert run("remove", photos, "--to", out) == 1
    assert sum(shop.charges(*pictures.values())) == 0
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert run("remove", photos, "--to", out) == 0
    assert shop.charges(*pictures.values()) == [1] * 51


def test_too_few_credits_leave_the_rest_to_the_next_run(
    run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = {f"p{n}": picture(MEGAPIXEL) for n in range(3)}
    photos, out = folder(tmp_path, **pictures), tmp_path / "out"
    monkeypatch.setenv("PIXIAN_WEB_KEY", shop.poor_key)
    assert run("remove", photos, "--to", out, "--threads", "1") == 3
    said = capsys.readouterr().out
    assert "2 pictures done, 2 credits" in said
    assert "1 picture left" in said
    assert "Not enough credits: 402/1011" in said
    monkeypatch.setenv("PIXIAN_WEB_KEY", shop.key)
    assert run("remove", photos, "--to", out) == 0
    assert shop.charges(*pictures.values()) == [1, 1, 1]


def test_a_refused_key_stops_at_once_and_stays_secret(
    run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "x" * 52
    photos, out = folder(tmp_path, **several(3)), tmp_path / "out"
    monkeypatch.setenv("PIXIAN_WEB_KEY", f"{shop.key.split(':')[0]}:{secret}")
    assert run("remove", photos, "--to", out) == 4
    said = capsys.readouterr()
    assert "1004" in said.err
    assert secret not in said.out + said.err
    assert results(out) == {}


def test_login_keeps_the_key_where_nobody_else_can_read_it(
    run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = folder(tmp_path, **several(1)), tmp_path / "out"
    monkeypatch.delenv("PIXIAN_WEB_URL")
    monkeypatch.delenv("PIXIAN_WEB_KEY")
    assert run("remove", photos, "--to", out) == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("px0:wrong\n"))
    assert run("login", shop.web.url) == 4
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{shop.key}\n"))
    assert run("login", shop.web.url) == 0
    config = tmp_path / "config/pixian-web.json"
    assert config.stat().st_mode & 0o777 == 0o600
    assert run("remove", photos, "--to", out) == 0
    config.chmod(0o644)
    assert run("remove", photos, "--to", out) == 2
    assert shop.key.split(":")[1] not in str(capsys.readouterr())


@pytest.mark.parametrize("days", [0, 2])
def test_a_killed_run_goes_on_and_each_picture_is_paid_once(
    run: Run, shop: Shop, tmp_path: Path, days: int
) -> None:
    pictures = several(12)
    photos, out = folder(tmp_path, **pictures), tmp_path / "out"
    kill_in_the_middle(shop, photos, out, pictures)
    if days:
        age(shop, out, pictures)
    assert run("remove", photos, "--to", out) == 0
    assert results(out) == {f"{name}.png": result(content) for name, content in pictures.items()}
    assert shop.charges(*pictures.values()) == shop.settled(*pictures.values()) == [1] * 12


def test_without_its_journal_a_killed_run_would_pay_twice(run: Run, shop: Shop, tmp_path: Path) -> None:
    """The control: after a day only the journal knows what was sent."""
    pictures = several(12)
    photos, out = folder(tmp_path, **pictures), tmp_path / "out"
    kill_in_the_middle(shop, photos, out, pictures)
    age(shop, out, pictures)
    (out / ".pixian-web.jsonl").unlink()
    assert run("remove", photos, "--to", out) == 0
    assert 2 in shop.charges(*pictures.values())


def kill_in_the_middle(shop: Shop, photos: Path, out: Path, pictures: dict[str, bytes]) -> None:
    """Kill the client by SIGKILL with some pictures done, some under way, and some not begun."""
    shop.slow_down(0.4, *pictures.values())
    with started(shop, "remove", photos, "--to", out, "--threads", "3") as process:
        wait(lambda: len(list(out.glob("*.png"))) >= 2 and shop.in_flight)
        process.kill()
    shop.upstream.wait_idle()
    assert 0 < len(list(out.glob("*.png"))) < sum(shop.charges(*pictures.values())) < len(pictures)


def age(shop: Shop, out: Path, pictures: dict[str, bytes]) -> None:
    """Let two days pass since the pictures were sent, here and at the site."""
    wait(lambda: shop.settled(*pictures.values()) == shop.charges(*pictures.values()))
    with shop.database() as database:
        for content in pictures.values():
            query = "UPDATE jobs_job SET created_at = datetime(created_at, '-2 days') WHERE source_sha256 = ?"
            database.execute(query, [sha256(content).hexdigest()])
    journal = out / ".pixian-web.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    aged = [line | {"at": line["at"] - TWO_DAYS} if "at" in line else line for line in lines]
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in aged))


def test_a_lost_answer_is_not_paid_twice(
    run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = picture()
    photos, out = folder(tmp_path, one=one), tmp_path / "out"
    # The first call is the free test of the price.
    shop.upstream.order("answer_picture", sha256(one).hexdigest(), ["ok", {"fault": "ok", "delay": 1}])
    with proxy.running(shop.web.url, 0.5, reset=True) as url:
        monkeypatch.setenv("PIXIAN_WEB_URL", url)
        assert run("remove", photos, "--to", out) == 0
    assert results(out) == {"one.png": result(one)}
    assert shop.charges(one) == shop.settled(one) == [1]


def test_a_call_in_doubt_is_asked_for_and_never_sent_again_by_itself(
    run: Run, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = picture()
    photos, out = folder(tmp_path, one=one), tmp_path / "out"
    shop.upstream.order("answer_picture", sha256(one).hexdigest(), ["ok", "hang_up_charged"])
    assert run("remove", photos, "--to", out) == 1
    assert "one.png: 504/-10" in capsys.readouterr().out
    assert run("remove", photos, "--to", out) == 1
    assert "is in_doubt" in capsys.readouterr().out
    assert shop.charges(one) == [1]
    assert results(out) == {}
    assert run("remove", photos, "--to", out, "--again") == 0
    assert shop.charges(one) == [2]


@pytest.mark.parametrize(
    "answer",
    ["null", "[]", '"text"', "7", "{}", '{"items": null}', '{"items": [7]}', '{"items": [], "next": 7}'],
)
def test_a_history_that_makes_no_sense_leaves_a_call_in_doubt(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    one = picture()
    photos, out = folder(tmp_path, one=one), tmp_path / "out"
    out.mkdir()
    task = sha256(json.dumps([sha256(one).hexdigest(), []]).encode()).hexdigest()
    line = {"task": task, "state": "sent", "number": 0, "at": time.time() - TWO_DAYS}
    (out / ".pixian-web.jsonl").write_text(f"{json.dumps(line)}\n")
    with answering(b"200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer.encode())) as url:
        assert run("remove", photos, "--to", out, "--url", url) == 1
    assert "may have been charged: the history makes no sense" in capsys.readouterr().out
    assert results(out) == {}


def test_a_site_that_fails_is_asked_again_by_the_next_run(
    client: ModuleType, run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = picture()
    photos, out = folder(tmp_path, one=one), tmp_path / "out"
    shop.upstream.order("answer_picture", sha256(one).hexdigest(), ["ok", "overloaded", "ok"])
    monkeypatch.setattr(client, "MAX_FAILURES", 0)
    assert run("remove", photos, "--to", out) == 1
    assert run("remove", photos, "--to", out) == 0
    assert shop.charges(one) == [1]


@contextmanager
def answering(*replies: bytes) -> Iterator[str]:
    """Yield the address of a server that gives these replies in turn, and then the last one again."""
    left = list(replies)

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline().lower()) not in (b"\r\n", b""):
                length = int(line.partition(b":")[2]) if line.startswith(b"content-length:") else length
            self.rfile.read(length)
            self.wfile.write(b"HTTP/1.1 " + (left.pop(0) if left[1:] else left[0]))

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


WHOLE = picture()


@pytest.mark.parametrize(
    ("reply", "is_whole"),
    [
        (b"Content-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE), True),
        (b"Content-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE[:-1]), False),
        (b"Connection: close\r\n\r\n%b" % WHOLE, True),
        (b"Connection: close\r\n\r\n%b" % WHOLE[:-1], False),
        (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(WHOLE), WHOLE), True),
        (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(WHOLE), WHOLE), False),
    ],
)
def test_half_a_result_never_gets_its_final_name(
    client: ModuleType,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reply: bytes,
    is_whole: bool,
) -> None:
    photos, out = folder(tmp_path, one=picture()), tmp_path / "out"
    monkeypatch.setattr(client, "MAX_FAILURES", 0)
    with answering(b"200 OK\r\n" + reply) as url:
        code = run("remove", photos, "--to", out, "--test", "--url", url)
    assert (code == 0) == is_whole
    assert results(out) == ({"one.png": WHOLE} if is_whole else {})


def test_ctrl_c_lets_the_calls_under_way_end(shop: Shop, tmp_path: Path) -> None:
    pictures = several(12)
    photos, out = folder(tmp_path, **pictures), tmp_path / "out"
    shop.slow_down(1, *pictures.values())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with started(shop, "remove", photos, "--to", out, "--threads", "2") as process:
        wait(lambda: shop.in_flight == 2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "left for the next run" in said
    assert len(results(out)) == sum(shop.charges(*pictures.values())) >= 2


@pytest.mark.parametrize(("settle", "too_early"), [("1", False), ("0", True)])
def test_watch_takes_a_picture_once_it_is_whole(
    shop: Shop, tmp_path: Path, settle: str, too_early: bool
) -> None:
    """A file that is written slowly; without the pause, as the control, its half is sent."""
    one, two = picture((200, 200)), picture()
    photos, out = folder(tmp_path, two=two), tmp_path / "out"
    (photos / "sub").mkdir()
    before = len(shop.upstream.log().charges)
    with started(shop, "watch", photos, "--to", out, "--settle", settle, "--every", "0.05") as process:
        wait((out / "two.png").exists)
        with (photos / "sub/one.png").open("wb", buffering=0) as file:
            for start in range(0, len(one), len(one) // 4 + 1):
                file.write(one[start : start + len(one) // 4 + 1])
                time.sleep(0.3)
        wait((out / "sub/one.png").exists)
        process.terminate()
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    three = picture()
    with started(shop, "watch", photos, "--to", out, "--settle", "0.1", "--every", "0.05") as process:
        (photos / "three.png").write_bytes(three)
        wait((out / "three.png").exists)
    assert f"one.png → {Path('sub/one.png')}" in said
    assert shop.charges(one, two, three) == [1, 1, 1]
    assert (len(shop.upstream.log().charges) > before + 3) == too_early


def test_it_waits_as_long_as_the_site_asks(run: Run, tmp_path: Path) -> None:
    photos, out = folder(tmp_path, one=picture()), tmp_path / "out"
    busy = b"429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    began = time.monotonic()
    with answering(busy, b"200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)) as url:
        assert run("remove", photos, "--to", out, "--test", "--url", url) == 0
    assert time.monotonic() - began >= 1
    assert results(out) == {"one.png": WHOLE}


def test_watch_waits_for_credits(
    client: ModuleType,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos, out = folder(tmp_path, one=picture()), tmp_path / "out"
    sleep = time.sleep

    def sleep_until_done(seconds: float) -> None:
        sleep(seconds)
        if (out / "one.png").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(client, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(client.time, "sleep", sleep_until_done)
    poor = b"402 Payment Required\r\nContent-Length: 0\r\n\r\n"
    with answering(poor, b"200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)) as url:
        assert run("watch", photos, "--to", out, "--settle", "0", "--every", "0.01", "--url", url) == 0
    assert "Not enough credits" in capsys.readouterr().out
    assert results(out) == {"one.png": WHOLE}


@pytest.mark.parametrize("command", [["remove"], ["watch", "--settle", "0", "--every", "0.01"]])
def test_an_error_that_nobody_expected_ends_the_command(
    client: ModuleType,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    """A supervisor starts it again; else it would idle, and say nothing of the pictures that still come."""
    photos, out = folder(tmp_path, **several(3)), tmp_path / "out"
    settle, sleep, end = client.Caller.settle, time.sleep, time.monotonic() + 20

    def fail_at_second(caller: Any, task: Any) -> Any:
        if task.source.name == "p1.png":
            raise RuntimeError("a bug")
        return settle(caller, task)

    def sleep_for_a_while(seconds: float) -> None:
        sleep(seconds)
        if time.monotonic() > end:
            raise KeyboardInterrupt

    monkeypatch.setattr(client.Caller, "settle", fail_at_second)
    monkeypatch.setattr(client.time, "sleep", sleep_for_a_while)
    with pytest.raises(RuntimeError, match="a bug"):
        run(*command, photos, "--to", out, "--threads", "1")
    assert "p0.png → p0.png" in capsys.readouterr().out
    assert results(out).keys() == {"p0.png"}


def test_results_that_are_alike_may_come_at_once(client: ModuleType, tmp_path: Path) -> None:
    """Two pictures without a subject have the same empty result, and two threads look at it and add to it."""
    past, target = client.Past(client.State.DONE, 0, 0, result=sha256(WHOLE).hexdigest()), tmp_path / "a.png"
    target.write_bytes(WHOLE)
    with client.Journal(tmp_path) as journal:
        journal.note("one", past)
        for _ in journal.tasks_of(target):
            journal.note("another", past)
        assert journal.tasks_of(target) == {"one", "another"}


def test_a_picture_that_changes_meanwhile_is_not_sent(
    client: ModuleType, run: Run, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = picture(), picture()
    photos, out = folder(tmp_path, one=one), tmp_path / "out"
    plan = client.make_plan

    def plan_and_change(*arguments: object) -> object:
        planned = plan(*arguments)
        (photos / "one.png").write_bytes(two[: len(one)].ljust(len(one), b"."))
        return planned

    monkeypatch.setattr(client, "make_plan", plan_and_change)
    assert run("remove", photos, "--to", out) == 1
    assert results(out) == {}
    monkeypatch.setattr(client, "make_plan", plan)
    (photos / "one.png").write_bytes(two)
    assert run("remove", photos, "--to", out) == 0
    assert results(out) == {"one.png": result(two)}
    assert shop.charges(one, two) == [0, 1]


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"progressive": True, "comment": b"x" * 9000}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"lossless": False}),
        ("WEBP", {"exif": b"Exif\0\0"}),
    ],
)
def test_the_pixels_of_every_format_are_counted(
    client: ModuleType, tmp_path: Path, format_: str, options: dict[str, Any]
) -> None:
    path = tmp_path / "photo"
    Image.new("RGB", (301, 203), "green").save(path, format_, **options)
    assert client.count_pixels(path) == 301 * 203
    path.write_bytes(path.read_bytes()[:16])
    assert client.count_pixels(path) == 0  # known as a picture, but not its size


def test_the_site_serves_it(shop: Shop) -> None:
    response = httpx.get(f"{shop.web.url}/static/client/pixian-web.py", trust_env=False)
    assert response.content == CLIENT.read_bytes()


def test_two_runs_do_not_share_an_output_folder(run: Run, shop: Shop, tmp_path: Path) -> None:
    photos, out = folder(tmp_path), tmp_path / "out"
    with started(shop, "watch", photos, "--to", out) as process:
        assert process.stdout
        assert "Watching" in process.stdout.readline()  # the journal's file is there before it is locked
        assert run("remove", photos, "--to", out) == 2
