"""The server by itself: what a connection may do, and for how long."""

import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from chaos.servers import free_port
from conftest import ROOT

PATIENCE_SECONDS = 1
CONNECTIONS = 40
APPLICATION = """
import time
from pixian.server.waitress_channel import Limits
from pixian.server.waitress_worker import WaitressWorker

class worker_class(WaitressWorker):
    limits = Limits({limits})

CLOSED = []

def closed(stream):
    try:
        yield from stream
    finally:
        CLOSED.append(1)

threads = 2
graceful_timeout = 10
loglevel = "error"
control_socket_disable = True

def application(environ, start_response):
    match environ["PATH_INFO"]:
        case "/slow":
            time.sleep(2)
        case "/kept":
            kept = type(environ["wsgi.input"]).__name__.encode()
            start_response("200 OK", [("Content-Length", str(len(kept)))])
            return [kept]
        case "/large":
            start_response("200 OK", [("Content-Length", "30000000")])
            return [b"x" * 30_000_000]
        case "/stream":
            start_response("200 OK", [])
            return closed(bytes(1_000_000) for _ in range(1_000))
        case "/closed":
            start_response("200 OK", [])
            return [b"closed %d" % len(CLOSED)]
    body = environ["wsgi.input"].read()
    summary = "{{}} {{}} {{}}".format(environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], len(body)).encode()
    start_response("200 OK", [("Content-Length", str(len(summary)))])
    return [summary]
"""


@contextmanager
def serving(folder: Path, limits: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    (folder / "served.py").write_text(APPLICATION.format(limits=limits))
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", str(folder / "served.py"), "-b", f"127.0.0.1:{port}"]
    with subprocess.Popen([*command, "--pythonpath", f"{ROOT},{folder}", "served"], cwd=ROOT) as process:
        try:
            wait_for(port)
            yield port, process
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
    raise TimeoutError


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    limits = f"patience={PATIENCE_SECONDS}, connections={CONNECTIONS}, body_bytes=5_000_000"
    with serving(tmp_path_factory.mktemp("served"), limits) as (port, _process):
        yield port


def reach(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def head(path: str = "/", *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


def all_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def talk(port: int, *sent: bytes) -> bytes:
    with closing(reach(port)) as connection:
        for part in sent:
            connection.sendall(part)
        return all_of(connection)


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "body",
    [
        b"nothing\r\n",
        b"-1\r\nx\r\n0\r\n\r\n",
        b"0x1\r\nx\r\n0\r\n\r\n",
        b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
        b"1\r\nxyz\r\n0\r\n\r\n",
        b"1" * 100_000,
        b"0\r\n" + b"x" * 100_000,
    ],
)
def test_malformed_chunks_are_400(port: int, body: bytes) -> None:
    assert talk(port, head("/", CHUNKED), body).startswith(b"HTTP/1.1 400 ")


def test_chunks_are_a_body(port: int) -> None:
    body = b"3\r\nabc\r\n2;extension=1\r\nde\r\n0\r\n\r\n"
    assert b"POST  5" in talk(port, head("/", CHUNKED, "Connection: close"), body)


def test_script_name_isnt_the_clients(port: int) -> None:
    headers = ("SCRIPT_NAME: /x", "Script-Name: /y", "Connection: close")
    assert talk(port, head("/", *headers, method="GET")).endswith(b"GET  0")


def test_whoever_asks_whether_to_continue_is_told_once(port: int) -> None:
    """And not at all if nothing is to come."""
    expects = "Expect: 100-continue"
    with closing(reach(port)) as connection:
        connection.sendall(head("/", expects, "Content-Length: 3", "Connection: close"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert all_of(connection).endswith(b"POST  3")
    received = talk(
        port, head("/", expects, method="GET") * 50 + head("/", "Connection: close", method="GET")
    )
    assert (received.count(b"100 Continue"), received.count(b"200 OK")) == (0, 51)
    assert talk(port, head("/", expects, "Content-Length: 6000000")).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("opening", "drop"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        (head("/", "Content-Length: 100000"), b"x"),
        (head("/", CHUNKED), b"1\r\nx\r\n"),
        (head("/", method="GET"), b""),
    ],
    ids=["silent", "headers", "body", "chunks", "kept alive"],
)
def test_nothing_stays_open_beyond_its_deadline(port: int, opening: bytes, drop: bytes) -> None:
    began, received = time.monotonic(), b""
    with closing(reach(port)) as connection:
        connection.sendall(opening)
        connection.settimeout(0.1)
        while time.monotonic() < began + 10:
            try:
                connection.sendall(drop)
                if not (part := connection.recv(1000)):
                    break
                received += part
            except TimeoutError:
                continue
            except OSError:
                break
    assert PATIENCE_SECONDS - 0.1 < time.monotonic() - began < PATIENCE_SECONDS + 3
    assert (b"408 Request Timeout" in received) == bool(drop)


def test_a_slow_reader_is_let_go(port: int) -> None:
    """Though the connection takes some bytes all the time."""
    began = time.monotonic()
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(head("/large", method="GET"))
        while is_open(connection):
            connection.recv(100)
            time.sleep(0.1)
    assert time.monotonic() - began < PATIENCE_SECONDS + 3


def test_a_slow_but_steady_reader_is_not(port: int) -> None:
    """It reads an answer that would fill the kernel's buffers for a long time."""
    began = time.monotonic()
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(head("/large", method="GET"))
        while time.monotonic() < began + PATIENCE_SECONDS + 3:
            connection.recv(10_000)
            time.sleep(0.05)
        assert is_open(connection)


def test_a_reader_that_stops_after_a_lot_is_let_go(port: int) -> None:
    """It was so fast before that its average is enough for hours, and a thread waits for it."""
    before = closed_streams(port)
    with closing(reach(port)) as connection:
        connection.sendall(head("/stream", method="GET"))
        read = 0
        while read < 200_000_000:
            read += len(connection.recv(1 << 20))
        began = time.monotonic()
        while is_open(connection) and time.monotonic() < began + 20:
            time.sleep(0.1)
        assert time.monotonic() - began < 5 * PATIENCE_SECONDS + 3
    assert closed_streams(port) > before


def closed_streams(port: int) -> int:
    """Return how many streams the application was told to end."""
    return int(talk(port, head("/closed", "Connection: close", method="GET")).rpartition(b" ")[2])


def test_a_steady_reader_of_a_long_stream_is_not(port: int) -> None:
    """At 2 MB a second, for several periods."""
    with closing(reach(port)) as connection:
        connection.sendall(head("/stream", method="GET"))
        for _ in range(40 * PATIENCE_SECONDS):
            read = 0
            while read < 400_000:
                part = connection.recv(400_000 - read)
                assert part
                read += len(part)
            time.sleep(0.2)
        assert is_open(connection)


def test_a_slow_but_steady_client_is_served(port: int) -> None:
    """At 20 kB a second, twice the least rate, and for longer than anybody's patience."""
    with closing(reach(port)) as connection:
        connection.sendall(head("/", "Content-Length: 60000", "Connection: close"))
        for _ in range(30):
            connection.sendall(b"x" * 2000)
            time.sleep(0.1)
        assert all_of(connection).endswith(b"POST  60000")


def test_idle_connections_keep_nobody_out(port: int) -> None:
    """More than may be open."""
    idle = [reach(port) for _ in range(CONNECTIONS * 2)]
    began = time.monotonic()
    assert talk(port, head("/", "Connection: close", method="GET")).endswith(b"GET  0")
    assert time.monotonic() - began < 3
    for connection in idle:
        connection.close()


def test_a_probe_is_answered_while_every_thread_hangs(port: int) -> None:
    busy = [threading.Thread(target=talk, args=(port, head("/slow", "Connection: close"))) for _ in range(6)]
    for thread in busy:
        thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert talk(port, head("/healthz", "Connection: close", method="GET")).endswith(b"GET  0")
    assert time.monotonic() - began < 1
    for thread in busy:
        thread.join()


def test_unfinished_bodies_have_a_bound_together(tmp_path: Path) -> None:
    with serving(tmp_path, "kept_bytes=3_000_000") as (port, _process):
        held = [reach(port) for _ in range(4)]
        for connection in held:
            connection.sendall(head("/", "Content-Length: 2000000"))
            connection.sendall(b"x" * 1_000_000)
        time.sleep(3)
        assert sum(is_open(connection) for connection in held) in (2, 3)
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    ("limits", "kept"),
    [("", b"BytesIO"), ("memory_bytes=0", b"BufferedRandom"), ("memory_bytes=1_000_000", b"BufferedRandom")],
)
def test_a_body_is_kept_in_memory_while_there_is_enough(tmp_path: Path, limits: str, kept: bytes) -> None:
    body = bytes(2_000_000)
    with serving(tmp_path, limits) as (port, _process):
        answer = talk(port, head("/kept", f"Content-Length: {len(body)}", "Connection: close"), body)
    assert answer.endswith(kept)


def test_a_body_that_has_begun_goes_on_in_a_file_once_others_keep_enough(tmp_path: Path) -> None:
    """Whole, though it began in memory. Its size is that of a small one, of as many as there may be."""
    with (
        serving(tmp_path, "memory_bytes=1_000_000") as (port, _process),
        closing(reach(port)) as begun,
        closing(reach(port)) as other,
    ):
        begun.sendall(head("/kept", "Content-Length: 200000", "Connection: close") + bytes(10_000))
        time.sleep(0.5)
        other.sendall(head("/", "Content-Length: 2000000") + bytes(1_500_000))
        time.sleep(0.5)
        begun.sendall(bytes(190_000))
        assert all_of(begun).endswith(b"BufferedRandom")


def is_open(connection: socket.socket) -> bool:
    """Return True if the server still has it; what it has sent before may lie here unread."""
    closed = select.poll()
    closed.register(connection, select.POLLRDHUP)
    return not closed.poll(0)


def test_told_to_end_it_answers_what_is_under_way(tmp_path: Path) -> None:
    with serving(tmp_path, "") as (port, process), closing(reach(port)) as idle:
        with closing(reach(port)) as working, closing(reach(port)) as sending:
            working.sendall(head("/slow", method="GET"))
            sending.sendall(head("/", "Content-Length: 3"))
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
            assert all_of(idle) == b""
            sending.sendall(b"abc")
            assert (all_of(working)[-6:], all_of(sending)[-7:]) == (b"GET  0", b"POST  3")
        assert process.wait(5) == 0
