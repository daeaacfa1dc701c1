"""The upstream speaks the contract, fails as ordered, and its journal is the truth."""

import io
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from chaos import proxy, upstream
from chaos.upstream import FAULTS, KNOWN, Call, Charge, Fault, Log, Server
from chaos.upstream.faults import Then, draw, parse_mix
from chaos.upstream.journal import Journal
from chaos.upstream.running import Child, serve_upstream
from chaos.upstream.server import Settings
from pixian.client.client import Client
from pixian.imaging.decode import decode, open_picture
from pixian.protocol import errors
from pixian.protocol.credentials import Credentials
from pixian.protocol.credits import parse_credits

PATH = "/api/v2/remove-background"
AUTH = (KNOWN.api_id, KNOWN.api_secret)
SCALE = 0.001
PATIENCE_SECONDS = 10
SHORT_SECONDS = 0.4
"""For silence that is meant; nothing else is awaited so briefly, since the machine may be busy."""

PRICE = 240_000
"""Of the photo: 600 × 400."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("upstream") / "log"
    with upstream.running(log, scale=SCALE, fsync=False) as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.order("clear")
    shared.order("listener.open")
    shared.wait_idle()


@pytest.fixture
def coffee(photo: Callable[[str], bytes]) -> Callable[[], bytes]:
    """Return the photo; no two have the same hash."""
    return lambda: photo("coffee") + b"%d" % next(DIFFERENT)


DIFFERENT = count()


# No connection is kept: a server that was killed would still seem to be there.
HTTP = httpx.Client(auth=AUTH, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
client_of = cache(lambda url, patience: Client(url, KNOWN, idle_timeout=patience))


def post(server: Server, picture: bytes, **more: str) -> httpx.Response:
    return HTTP.post(server.url + PATH, files={"image": ("a.jpg", picture)}, headers=more)


def refused(answer: httpx.Response) -> tuple[int, int]:
    error = answer.json()["error"]
    assert error["status"] == answer.status_code
    assert error["message"]
    return answer.status_code, error["code"]


def balance(server: Server) -> str:
    """Return the account's credits as they stand in the JSON."""
    text = HTTP.get(f"{server.url}/api/v2/account").text
    return text.partition('"credits": ')[2].rstrip("}")


def seen(url: str, picture: bytes, patience: float = PATIENCE_SECONDS) -> tuple[str, str | None]:
    """Return what our own client makes of a call, and the charge that it was told."""
    told = None
    call = client_of(url, patience).remove_background(io.BytesIO(picture), "a.jpg", {})
    try:
        with call as answer:
            told = answer.header("X-Credits-Charged")
            if answer.status != 200:
                raise answer.error()
            body = b"".join(answer.stream())
    except errors.ApiError as error:
        return f"{error.status}/{error.code}", told
    except errors.PixianError as error:
        return type(error).__name__, told
    whole = body == upstream.result_for(sha256(picture).hexdigest())
    return ("the result" if whole else "another body"), told


# The contract --------------------------------------------------------------------------------------


def test_a_picture_is_answered_by_a_real_one(server: Server, coffee: Callable[[], bytes]) -> None:
    picture = coffee()
    answer = post(server, picture)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Credits-Charged"] == "0.240000"
    assert answer.headers["X-Input-Size"] == "600 400"
    assert answer.headers["X-Input-Orientation"] == "1"
    assert answer.content == upstream.result_for(sha256(picture).hexdigest())
    with Image.open(io.BytesIO(answer.content)) as image:
        image.load()
        assert (image.format, image.mode) == ("PNG", "RGBA")
        assert answer.headers["X-Result-Size"] == "{} {}".format(*image.size)


@pytest.mark.parametrize("size", [0, 190, 5_000, 1_000_000])
def test_a_result_has_the_size_asked_for(size: int) -> None:
    digest = sha256(b"a picture").hexdigest()
    result = upstream.result_for(digest, size)
    assert size <= len(result) <= max(size, 200)
    with Image.open(io.BytesIO(result)) as image:
        image.load()
        assert image.tobytes().hex() == digest


def test_an_upload_may_come_in_chunks(server: Server, coffee: Callable[[], bytes]) -> None:
    request = httpx.Request("POST", server.url + PATH, files={"image": ("a.jpg", coffee())})
    body, kind = request.read(), request.headers["Content-Type"]
    pieces = (body[at : at + 10_000] for at in range(0, len(body), 10_000))
    answer = HTTP.post(server.url + PATH, content=pieces, headers={"Content-Type": kind})
    assert answer.status_code == 200
    assert answer.request.headers["Transfer-Encoding"] == "chunked"


def test_a_connection_may_be_kept(server: Server, coffee: Callable[[], bytes]) -> None:
    with httpx.Client(base_url=server.url, auth=AUTH, trust_env=False) as client:
        for _ in range(3):
            assert client.post(PATH, files={"image": coffee()}).status_code == 200


def test_a_test_is_free(server: Server, coffee: Callable[[], bytes]) -> None:
    answer = HTTP.post(server.url + PATH, files={"image": coffee()}, data={"test": "True"})
    assert answer.headers["X-Credits-Charged"] == "0.000000"
    assert answer.headers["X-Credits-Calculated"] == "0.240000"


def test_our_own_client_reads_the_account(server: Server) -> None:
    account = client_of(server.url, PATIENCE_SECONDS).account()
    assert account.balance == server.order("status")["balance_microcredits"] > 0
    assert account.answer["state"] == "active"


def test_credentials_are_checked(server: Server) -> None:
    stranger, thief = Credentials("px", "0"), Credentials(KNOWN.api_id, "1" * 52)
    for known, code in ((stranger, 1001), (thief, 1004)):
        for method, path in (("POST", PATH), ("GET", "/api/v2/account")):
            auth = (known.api_id, known.api_secret)
            answer = HTTP.request(method, server.url + path, auth=auth)
            assert refused(answer) == (401, code)
            assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_what_is_no_picture_is_refused_and_not_charged(server: Server) -> None:
    before = len(server.log().charges)
    assert refused(post(server, b"a text")) == (400, 1006)
    url = server.url + PATH
    assert refused(HTTP.post(url, files={"other": b"x"})) == (400, 1005)
    assert refused(HTTP.post(url, data={"image": "x"})) == (400, 1005)
    as_text = {"image": (None, b"a.jpg")}
    assert refused(HTTP.post(url, files=as_text)) == (400, 1016)
    assert refused(HTTP.get(f"{server.url}/elsewhere")) == (404, 404)
    assert len(server.log().charges) == before


# Each fault ----------------------------------------------------------------------------------------

UNUSUAL = {
    "wrong_type": "the result",
    "not_a_picture": "another body",
    "empty_body": "another body",
    "cut_unseen": "another body",
    "portal": "another body",
    "cut_body": "BodyLost",
    "reset_body": "BodyLost",
    "silent_head": "BodyLost",
    "silent_body": "BodyLost",
    "server_html": "500/0",
    "gateway_charged": "504/0",
    "forbidden": "403/0",
    "redirected": "307/0",
}


def expected(fault: Fault) -> str:
    if fault.name in UNUSUAL:
        return UNUSUAL[fault.name]
    if fault.sent_status is None:
        return "Unanswered"
    if fault.status == 200:
        return "the result"
    return f"{fault.status}/{fault.code}"


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("early_refusal", "moved")])
def test_each_fault_is_what_it_says(server: Server, coffee: Callable[[], bytes], name: str) -> None:
    fault, picture = FAULTS[name], coffee()
    digest = sha256(picture).hexdigest()
    server.order("answer_next", [name])
    patience = SHORT_SECONDS if fault.then is Then.SILENCE else PATIENCE_SECONDS
    what, told = seen(server.url, picture, patience)
    assert what == expected(fault)
    server.wait_idle()
    call = server.log().calls[-1]
    assert (call.fault, call.status) == (name, fault.sent_status)
    assert (call.sha256, call.bytes) == ((None, None) if fault.early else (digest, len(picture)))
    charges = server.log().charges_of(digest)
    assert [charge.microcredits for charge in charges] == [PRICE * fault.factor] * fault.charges
    assert [charge.call for charge in charges] == [call.n] * fault.charges
    assert [charge.header for charge in charges] == [told] * fault.charges


def test_a_redirect_within_the_host_is_followed_and_charged_once(
    server: Server, coffee: Callable[[], bytes]
) -> None:
    picture = coffee()
    digest = sha256(picture).hexdigest()
    server.order("answer_next", ["moved", "ok"])
    assert seen(server.url, picture) == ("the result", "0.240000")
    server.wait_idle()
    calls = server.log().calls[-2:]
    assert [(call.fault, call.status, call.sha256) for call in calls] == [
        ("moved", 308, digest),
        ("ok", 200, digest),
    ]
    assert [(charge.call, charge.microcredits) for charge in server.log().charges_of(digest)] == [
        (calls[1].n, PRICE)
    ]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("no_charge_header", None),
        ("seven_decimals", "0.2400001"),
        ("unreadable_charge", "one or so"),
        ("negative_charge", "-0.240000"),
        ("two_charge_headers", "0.240000, 0.240000"),
        ("above_hold", "0.720000"),
        ("error_charged", "0.240000"),
        ("gateway_charged", None),
    ],
)
def test_the_header_is_as_odd_as_asked(
    server: Server, coffee: Callable[[], bytes], name: str, header: str | None
) -> None:
    server.order("answer_next", [name])
    assert seen(server.url, coffee())[1] == header


def test_a_cut_that_no_length_tells_of_is_seen_in_the_pixels_alone(
    server: Server, coffee: Callable[[], bytes]
) -> None:
    server.order("answer_next", ["cut_unseen"])
    body = io.BytesIO(post(server, coffee()).content)
    image, _ = open_picture(body)
    with image, pytest.raises(errors.Refused):
        decode(image)


def test_every_code_of_the_contract_is_there() -> None:
    codes = {(fault.status, fault.code) for fault in FAULTS.values()}
    wanted = {400: (1005, 1006, 1016, 1019, 1020, 1021, 1022, 1023, 1024), 401: (1001, 1002, 1003, 1004)}
    wanted |= {402: (1008, 1010, 1011), 413: (1012, 1013), 429: (1015,), 503: (-3, -10)}
    assert {(status, code) for status in wanted for code in wanted[status]} <= codes


def test_a_client_that_is_gone_is_charged_when_the_delay_is_over(
    server: Server, coffee: Callable[[], bytes]
) -> None:
    picture = coffee()
    server.order("answer_next", [{"fault": "delay_185", "delay": 1 / SCALE}])
    assert seen(server.url, picture, SHORT_SECONDS) == ("Unanswered", None)
    digest = sha256(picture).hexdigest()
    assert (len(server.log().calls_of(digest)), server.log().charges_of(digest)) == (1, [])
    server.wait_idle()
    assert len(server.log().charges_of(digest)) == 1


@pytest.mark.parametrize(("name", "outcomes"), [
    ("early_slow_down", {"429/1015"}),
    # The reset may overtake the answer, as it may in life.
    ("early_refusal", {"413/1012", "Unanswered"}),
])  # fmt: skip
def test_an_answer_may_come_before_the_uploads_end(
    server: Server, coffee: Callable[[], bytes], name: str, outcomes: set[str]
) -> None:
    server.order("answer_next", [name])
    assert seen(server.url, coffee() + bytes(8_000_000))[0] in outcomes
    server.wait_idle()
    assert server.log().calls[-1].sha256 is None
    assert seen(server.url, coffee())[0] == "the result"


# The reset may come before the client knows that it was connected, or after it began to send.
RESET_ON_ACCEPT = {"Unreachable", "Unanswered"}


def test_no_connection(server: Server, coffee: Callable[[], bytes]) -> None:
    calls = len(server.log().calls)
    server.order("listener.close")
    assert seen(server.url, coffee()) == ("Unreachable", None)
    server.order("listener.open")
    server.order("reset_connections", 1)
    assert seen(server.url, coffee())[0] in RESET_ON_ACCEPT
    assert seen(server.url, coffee())[0] == "the result"
    assert len(server.log().calls) == calls + 1


def test_no_connection_after_an_answer(server: Server, coffee: Callable[[], bytes]) -> None:
    server.order("answer_next", [{"fault": "then_refuse", "refuses": 60 / SCALE}, "then_reset"])
    outcomes = [seen(server.url, coffee())[0] for _ in range(2)]
    server.order("listener.open")
    outcomes += [seen(server.url, coffee())[0] for _ in range(3)]
    assert outcomes.pop(3) in RESET_ON_ACCEPT
    assert outcomes == ["the result", "Unreachable", "the result", "the result"]


def test_the_door_opens_again_by_itself(server: Server, coffee: Callable[[], bytes]) -> None:
    server.order("listener.close", 2)  # seconds, of which a busy machine takes some for the next line
    assert seen(server.url, coffee())[0] == "Unreachable"
    with httpx.Client(transport=httpx.HTTPTransport(retries=6), auth=AUTH, trust_env=False) as client:
        assert client.get(f"{server.url}/api/v2/account").status_code == 200


# Who decides ---------------------------------------------------------------------------------------


def test_a_script_is_used_up_in_order(server: Server, coffee: Callable[[], bytes]) -> None:
    server.order("answer_next", [*[{"fault": "slow_down", "retry_after": "7"}] * 2, "unreadable"])
    assert server.order("status")["script"] == ["slow_down", "slow_down", "unreadable"]
    answers = [post(server, coffee()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 400, 200]
    assert answers[0].headers["Retry-After"] == "7"


def test_a_picture_has_its_own(server: Server, coffee: Callable[[], bytes]) -> None:
    used_up, always = coffee(), coffee()
    server.order("answer_picture", sha256(used_up).hexdigest(), ["overloaded", "slow_down_bare"])
    server.order("answer_picture", sha256(always).hexdigest(), "no_plan")
    assert [post(server, used_up).status_code for _ in range(3)] == [503, 429, 200]
    assert [post(server, always).status_code for _ in range(3)] == [402, 402, 402]
    assert post(server, coffee()).status_code == 200


def test_an_answer_may_be_changed(server: Server, coffee: Callable[[], bytes]) -> None:
    server.order("answer_next", [{"fault": "ok", "header": ("2.5",)}])
    assert post(server, coffee()).headers["X-Credits-Charged"] == "2.5"


@pytest.mark.parametrize("wrong", ["no such", {"fault": "no such"}, {"fault": "ok", "colour": 1}])
def test_an_unknown_order_is_told(server: Server, wrong: upstream.Step) -> None:
    with pytest.raises((KeyError, TypeError)):
        server.order("answer_next", [wrong])


def test_a_seed_replays(tmp_path: Path, coffee: Callable[[], bytes]) -> None:
    mix = "ok=6,slow_down_run=1,overloaded=2,hang_up_charged=1,cut_body=1"

    def replayed(name: str, seed: int) -> list[str]:
        with upstream.running(tmp_path / name, seed=seed, mix=mix) as server:
            for _ in range(10):
                seen(server.url, coffee())
            server.restart()
            for _ in range(10):
                seen(server.url, coffee())
            return [call.fault for call in server.log().calls]

    first = replayed("a", 7)
    assert first == replayed("b", 7) == [draw(7, parse_mix(mix), n).name for n in range(1, 21)]
    assert len(set(first)) > 2
    assert first != [draw(8, parse_mix(mix), n).name for n in range(1, 21)]


def test_a_seed_makes_runs() -> None:
    mix = parse_mix("ok=20,slow_down_run=1")
    text = "".join("x" if draw(1, mix, n).status == 429 else "." for n in range(1, 1000))
    runs = {len(run) for run in text.split(".") if run}
    assert runs
    assert min(runs) >= 3


# The second witness --------------------------------------------------------------------------------


def test_the_account_is_what_the_log_leaves(tmp_path: Path, coffee: Callable[[], bytes]) -> None:
    with upstream.running(tmp_path / "log", opening_microcredits=500_000) as server:
        assert balance(server) == "0.500000"
        assert post(server, coffee()).status_code == 200
        assert balance(server) == "0.260000"
        server.order("answer_next", ["above_hold"])
        assert post(server, coffee()).status_code == 200
        assert balance(server) == "-0.460000"
        assert refused(post(server, coffee())) == (402, 1011)
        server.restart()
        assert balance(server) == "-0.460000"
        assert refused(post(server, coffee())) == (402, 1011)
        log = server.log()
        assert log.total_microcredits == 4 * PRICE
        assert [call.n for call in log.calls] == [1, 2, 3, 4]


def test_the_account_may_fail_too(server: Server) -> None:
    server.order("answer_account", ["server_html", "ok", "hang_up"])
    url = f"{server.url}/api/v2/account"
    assert [HTTP.get(url).status_code for _ in range(2)] == [500, 200]
    with pytest.raises(httpx.RemoteProtocolError):
        HTTP.get(url)


def test_a_result_may_be_large(tmp_path: Path, coffee: Callable[[], bytes]) -> None:
    with upstream.running(tmp_path / "log", result_bytes=4096, fsync=False) as server:
        assert len(post(server, coffee()).content) == 4096


def test_the_charge_is_written_before_the_headers_leave(tmp_path: Path, coffee: Callable[[], bytes]) -> None:
    """Nothing can be written after them: the process sends no more, and is killed then."""
    picture = coffee()
    with upstream.running(tmp_path / "log", mix="silent_head=1") as server:
        client = client_of(server.url, PATIENCE_SECONDS)
        with client.remove_background(io.BytesIO(picture), "a.jpg", {}) as answer:
            server.child.kill()
            told = answer.header("X-Credits-Charged")
        (charge,) = server.log().charges_of(sha256(picture).hexdigest())
        assert (charge.microcredits, charge.header) == (PRICE, told)


def unwitnessed(told: list[tuple[str, str]], log: Log) -> list[tuple[str, str]]:
    """Return charges that a client was told, by picture and header, and that the journal doesn't have."""
    written = {(charge.sha256, charge.header) for charge in log.charges}
    return [pair for pair in told if pair not in written]


def test_what_a_client_was_told_survives_a_kill(tmp_path: Path, coffee: Callable[[], bytes]) -> None:
    """Four clients call as fast as they can while the process is killed over and over."""
    told: list[tuple[str, str]] = []
    ended = threading.Event()

    def keep_calling(server: Server) -> None:
        while not ended.is_set():
            picture = coffee()
            _, header = seen(server.url, picture)
            if header:
                told.append((sha256(picture).hexdigest(), header))

    with upstream.running(tmp_path / "log", mix="ok=1,cut_body=1") as server:
        threads = [threading.Thread(target=keep_calling, args=[server]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for enough in (6, 12, 18, 24):
            while len(told) < enough:
                ended.wait(0.01)
            server.restart()
        ended.set()
        for thread in threads:
            thread.join()
        server.wait_idle()
        log = server.log()

    assert len(told) > 20
    assert unwitnessed(told, log) == []
    assert all(parse_credits(header) == PRICE for _, header in told)
    assert len({call.n for call in log.calls}) == len(log.calls)
    # The control: a log that lacks one charge is seen.
    assert unwitnessed(told, Log(charges=[c for c in log.charges if c.sha256 != told[0][0]])) == told[:1]


def test_a_torn_line_was_never_written(tmp_path: Path, coffee: Callable[[], bytes]) -> None:
    log = tmp_path / "log"
    with upstream.running(log) as server:
        post(server, coffee())
        server.child.kill()
        whole = read = server.log()
        with log.open("ab") as file:
            file.write(b'{"what": "charge", "call": 2, "microcr')
        read = server.log()
        assert read == whole
        server.restart()
        post(server, coffee())
        assert [charge.call for charge in server.log().charges] == [1, 2]


def test_a_damaged_line_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"{}x\n{}")
    with pytest.raises(ValueError, match="Extra data"):
        upstream.read_log(log)


def test_what_is_written_is_read_and_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("chaos.upstream.journal.os.fsync", synced.append)
    call, charge = Call(1, 5.5, "ok", 200, "ab", 3), Charge(1, 6.5, "ab", 2, None)
    with closing(Journal(tmp_path / "log")) as journal:
        for line in (call, charge):
            journal.write(line)
        journal.sync()
    assert upstream.read_log(tmp_path / "log") == Log([call], [charge])
    with closing(Journal(tmp_path / "log", fsync=False)) as journal:
        journal.sync()
        assert (journal.last_call, journal.balance_microcredits) == (1, -2)
    assert len(synced) == 1


def test_a_log_has_one_writer(server: Server) -> None:
    with pytest.raises(RuntimeError, match="before it listened"), upstream.running(server.path):
        pass


def test_an_upload_that_breaks_off_is_a_call_without_a_charge(server: Server) -> None:
    charges, (host, port) = server.log().charges, urlsplit(server.url).netloc.split(":")
    head = f"POST {PATH} HTTP/1.1\r\nContent-Length: 99\r\nAuthorization: {KNOWN.authorization}\r\n\r\nhalf"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert (server.log().calls[-1].fault, server.log().calls[-1].sha256) == ("broken_off", None)
    assert server.log().charges == charges


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    child = Child(serve_upstream, tmp_path / "log", Settings())
    child.connection.close()
    child.process.join(5)
    assert child.process.exitcode == 0


def test_it_can_be_killed(tmp_path: Path, coffee: Callable[[], bytes]) -> None:
    with upstream.running(tmp_path / "log") as server:
        server.child.kill()
        assert seen(server.url, coffee()) == ("Unreachable", None)
        assert server.child.process.exitcode == -signal.SIGKILL


# The proxy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
def test_a_proxy_cuts_what_waits_and_the_charge_stands(
    server: Server, coffee: Callable[[], bytes], reset: bool
) -> None:
    picture = coffee()
    server.order("answer_next", [{"fault": "delay_60", "delay": 0.7 / SCALE}])
    with proxy.running(server.url, cut_after=0.25, reset=reset) as between:
        assert seen(between, picture) == ("Unanswered", None)
        server.wait_idle()
        assert len(server.log().charges_of(sha256(picture).hexdigest())) == 1


def test_a_proxy_lets_pass_what_moves(server: Server, coffee: Callable[[], bytes]) -> None:
    server.order(
        "answer_next", [{"fault": "slow_body", "pause": 0.15 / SCALE}, "reset_after_upload", "cut_body"]
    )
    with proxy.running(server.url, cut_after=0.5) as between:
        outcomes = [seen(between, coffee())[0] for _ in range(3)]
    assert outcomes == ["the result", "Unanswered", "BodyLost"]
