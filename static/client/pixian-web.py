#!/usr/bin/env python3
"""Remove the backgrounds of a folder's pictures with a Pixian Web site, and pay for each picture once.

    pixian-web.py login https://cutouts.example.org     ask for a team's API key and keep it
    pixian-web.py remove photos --to cutouts            a folder in, a folder out
    pixian-web.py watch photos --to cutouts             the same for each new picture, until it is stopped

It needs Python 3.11 on Linux or macOS, and nothing else. ``--help`` lists the options, and exit codes below.

The output folder gets the same sub-folders, and a journal, ``.pixian-web.jsonl``. A line is written to it
before each call, so the program can be killed at any moment: started again, it skips what is done and asks
for what is missing under the same Idempotency-Key, which is charged once. A picture is known by its content
and options, so one that was renamed or copied isn't paid for again. After a day the site has forgotten the
key; the site's history is searched instead, and what it doesn't know is left to you (``--again``).

Exit codes: 0 all done, 1 some pictures have no result, 2 wrong usage, 3 not enough credits, 4 the key was
refused, 5 the site can't be reached, 6 the output folder can't be written, 130 interrupted.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import getpass
import hashlib
import http.client
import itertools
import json
import math
import os
import queue
import shutil
import signal
import ssl
import stat
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import urlencode, urlsplit

ALL_DONE, SOME_FAILED, USAGE, NO_CREDITS, KEY_REFUSED, UNREACHABLE, NOT_WRITABLE, INTERRUPTED = (
    *range(7),
    130,
)

ASK_ABOVE = 50
THREADS, MAX_THREADS, NEXT_THREAD_SECONDS = 5, 100, 300
IDLE_SECONDS = 200  # the service asks for at least 180
BACKOFF_SECONDS = 5
MAX_REFUSALS, MAX_FAILURES = 20, 4
KEY_LASTS = timedelta(hours=23)
"""The site remembers an Idempotency-Key for a day; the clocks of both may differ."""
WATCH_EVERY_SECONDS, SETTLE_SECONDS, RETRY_SECONDS = 2.0, 5.0, 60.0

POLL_SECONDS = 0.02
CHUNK_BYTES = 1 << 16
MAX_ERROR_BYTES = 1 << 20
HEAD_BYTES = 32
MAX_PIXELS = 25_000_000  # of a picture that are processed, and so priced
JOURNAL = ".pixian-web.jsonl"
BOUNDARY = "pixian-web-7c1f0b5e9d3a4e2f8a6b"
LISTED = 10

PNG_END, JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class State(StrEnum):
    """The state of a picture's call. FREE: it was surely not processed."""

    SENT = "sent"
    FREE = "free"
    DONE = "done"
    REFUSED = "refused"
    LOST = "lost"
    DOUBT = "doubt"
    FAILED = "failed"


class StopError(Exception):
    """The run can't go on. code: the exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnansweredError(Exception):
    """No whole response came."""


class ChangedError(Exception):
    """The picture changed, or could not be read, while it was sent; the site got no whole request."""


class TakenError(Exception):
    """Another file has got the result's name since the run was planned."""


class HaltedError(Exception):
    """The run is stopping, and the picture is left for the next one."""


def clean(text: object) -> str:
    """Return a text without control characters, which a terminal might obey."""
    return "".join(
        each if each.isprintable() else "?" for each in str(text).encode(errors="replace").decode()
    )


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def credits_text(amount: Decimal) -> str:
    return f"{amount:.6f}".rstrip("0").rstrip(".")


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# The address and the key ----------------------------------------------------------------------------


def config_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "pixian-web.json"


def read_secret(path: Path) -> str:
    """Return the content of a file that nobody else may read; raises StopError."""
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StopError(USAGE, f"Others can read {path}. Run chmod 600 on it first.")
        return path.read_text().strip()
    except OSError as error:
        raise StopError(USAGE, f"{path} can't be read: {error.strerror}.") from error


def write_config(path: Path, url: str, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"url": url, "key": key}, file)
    part.replace(path)


def find_site(arguments: argparse.Namespace) -> Site:
    """Return the site by the flags, the environment or the file of ``login``, in this order."""
    config = {}
    path = config_path()
    if path.exists():
        try:
            config = json.loads(read_secret(path))
        except ValueError as error:
            raise StopError(USAGE, f"{path} isn't JSON. Run login again.") from error
    key_file = arguments.key_file
    url = arguments.url or os.environ.get("PIXIAN_WEB_URL") or config.get("url", "")
    key = read_secret(key_file) if key_file else os.environ.get("PIXIAN_WEB_KEY") or config.get("key", "")
    if not (url and key):
        raise StopError(USAGE, "There is no address or no key yet. Run login, or see --help.")
    return Site(url, key)


# The pictures ---------------------------------------------------------------------------------------


def count_pixels(path: Path) -> int | None:
    """Return a picture's pixels by its header, 0 if it doesn't tell; None for what is no picture.

    Only the formats that the service takes count as pictures. Raises OSError.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        for start, measure in MEASURES.items():
            if head.startswith(start) and (start != b"RIFF" or head[8:12] == b"WEBP"):
                try:
                    width, height = measure(head, file) if len(head) == HEAD_BYTES else (0, 0)
                except (struct.error, ValueError):
                    return 0
                return abs(width * height)
    return None


def _measure_jpeg(_head: bytes, file: BinaryIO) -> tuple[int, int]:
    file.seek(2)
    while True:
        start, marker, length = struct.unpack(">BBH", file.read(4))
        if start != 0xFF or (length < 2 and marker != 0xFF):
            raise ValueError("not a segment")
        if marker == 0xFF:  # a fill byte
            file.seek(-3, os.SEEK_CUR)
        elif marker in JPEG_SIZES:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        else:
            file.seek(length - 2, os.SEEK_CUR)


def _measure_tiff(head: bytes, file: BinaryIO) -> tuple[int, int]:
    order = "<" if head.startswith(b"II") else ">"
    file.seek(struct.unpack(f"{order}I", head[4:8])[0])
    (entries,) = struct.unpack(f"{order}H", file.read(2))
    sides = {}
    for _ in range(entries):
        tag, kind, _, value = struct.unpack(f"{order}HHI4s", file.read(12))
        if tag in (256, 257):
            sides[tag] = struct.unpack(f"{order}H", value[:2])[0] if kind == 3 else _long(order, value)
    return sides.get(256, 0), sides.get(257, 0)


def _long(order: str, value: bytes) -> int:
    number: int = struct.unpack(f"{order}I", value)[0]
    return number


def _measure_webp(head: bytes, _file: BinaryIO) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _measure_bmp(head: bytes, _file: BinaryIO) -> tuple[int, int]:
    width, height = struct.unpack("<HH" if head[14] == 12 else "<ii", head[18 : 22 if head[14] == 12 else 26])
    return width, height


def _measure_gif(head: bytes, _file: BinaryIO) -> tuple[int, int]:
    width, height = struct.unpack("<HH", head[6:10])
    return width, height


def _measure_png(head: bytes, _file: BinaryIO) -> tuple[int, int]:
    width, height = struct.unpack(">II", head[16:24])
    return width, height


MEASURES: dict[bytes, Callable[[bytes, BinaryIO], tuple[int, int]]] = {
    b"\xff\xd8\xff": _measure_jpeg,
    b"\x89PNG\r\n\x1a\n": _measure_png,
    b"GIF8": _measure_gif,
    b"BM": _measure_bmp,
    b"II*\0": _measure_tiff,
    b"MM\0*": _measure_tiff,
    b"RIFF": _measure_webp,
}


@dataclass(frozen=True)
class Source:
    """A file of the input folder. name: its path in it."""

    path: Path
    name: str
    size: int
    mtime_ns: int


def walk(folder: Path, out: Path) -> Iterator[Source]:
    """Yield the files of a folder and its sub-folders, except hidden ones and the output folder."""
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name != out)
        for name in sorted(files):
            path = here / name
            with suppress(OSError):  # it was removed just now
                about = path.stat()
                if not name.startswith(".") and stat.S_ISREG(about.st_mode):
                    yield Source(path, str(path.relative_to(folder)), about.st_size, about.st_mtime_ns)


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def task_id(sha256: str, options: Mapping[str, str]) -> str:
    """Return what a paid call is known by: the picture's content and the options."""
    return hashlib.sha256(json.dumps([sha256, sorted(options.items())]).encode()).hexdigest()


# The journal ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """State of a task by the journal. number: how many earlier calls were given up. at: when it was sent."""

    state: State
    number: int
    at: float
    reason: str = ""
    result: str = ""

    @property
    def age(self) -> timedelta:
        return timedelta(seconds=time.time() - self.at)


UNSENT = Past(State.FREE, 0, 0)


@dataclass(frozen=True)
class Placed:
    """A result in the output folder, and the source that it was made from."""

    task: str
    sha256: str
    size: int
    mtime_ns: int
    target: str


class Journal:
    """The output folder's journal: JSON lines that are only appended, and what they say.

    One process at a time has it. Each line is on the disk before the program goes on.
    """

    def __init__(self, out: Path) -> None:
        self.tasks: dict[str, Past] = {}
        self.placed: dict[str, Placed] = {}
        self._owners: dict[str, str] = {}
        self._targets: dict[str, list[str]] = {}
        self._tasks_by_result: dict[str, set[str]] = {}
        self._pictures: dict[str, str] = {}
        self._lock = threading.Lock()
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._file = (out / JOURNAL).open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise StopError(USAGE, f"Another run is writing to {out} at the moment.") from error
        except OSError as error:
            raise StopError(NOT_WRITABLE, f"{out} can't be written: {error.strerror}.") from error
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def note(self, task: str, past: Past) -> None:
        line = {"task": task, "state": past.state, "number": past.number, "at": past.at}
        self._write(line | {"reason": past.reason, "result": past.result})

    def place(self, source: str, placed: Placed) -> None:
        self._write({"source": source, **vars(placed)})

    def owner(self, target: Path) -> str | None:
        """Return the source that a path was last kept for."""
        return self._owners.get(str(target).casefold())

    def claim(self, target: Path, source: str) -> None:
        self._owners[str(target).casefold()] = source

    def result_of(self, task: str, targets: Iterable[Path]) -> Path | None:
        """Return a file in the output folder that still is this task's result."""
        for target in [*targets, *map(Path, self._targets.get(task, []))]:
            with suppress(OSError):
                if task in self.tasks_of(target):
                    return target
        return None

    def tasks_of(self, target: Path) -> set[str]:
        """Return the tasks that brought exactly a file's content: none if it was edited, or isn't ours."""
        result = hash_file(target)
        with self._lock:  # another thread may be adding one
            return set(self._tasks_by_result.get(result, ()))

    def may_replace(self, target: Path, task: str, sha256: str) -> bool:
        """Tell if a file is this task's result, or the same picture's by other options."""
        tasks = self.tasks_of(target)
        return task in tasks or sha256 in {self._pictures.get(each) for each in tasks}

    def is_in_place(self, source: Source, placed: Placed) -> bool:
        """Tell if a result is still under its name. It isn't read, unless another source got the name."""
        target = Path(placed.target)
        is_owner = self.owner(target) == str(source.path)
        return target.exists() and (is_owner or placed.task in self.tasks_of(target))

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        for text in content.splitlines():
            with suppress(ValueError, KeyError, TypeError):  # a line that a crash has torn
                self._learn(json.loads(text))
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")

    def _learn(self, line: dict[str, Any]) -> None:
        if "source" in line:
            source = line.pop("source")
            placed = self.placed[source] = Placed(**line)
            self.claim(Path(placed.target), source)
            self._targets.setdefault(placed.task, []).append(placed.target)
            self._pictures[placed.task] = placed.sha256
        else:
            task, state = line.pop("task"), State(line.pop("state"))
            past = self.tasks[task] = Past(state=state, **line)
            if past.result:
                self._tasks_by_result.setdefault(past.result, set()).add(task)

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock:
            try:
                self._file.write(json.dumps(line).encode() + b"\n")
                self._file.flush()
                os.fsync(self._file)
            except OSError as error:
                message = f"The journal can't be written: {error.strerror}."
                raise StopError(NOT_WRITABLE, message) from error
            self._learn(line)


# The site -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """A response. code: the contract's error code; None if the site itself didn't send the error."""

    status: int
    headers: http.client.HTTPMessage
    code: int | None = None
    message: str = ""

    @property
    def retry_after(self) -> int:
        text = self.headers.get("Retry-After", "")
        return int(text) if text.isdecimal() else 0

    @property
    def asks_to_wait(self) -> bool:
        return self.status == 429 or (self.status == 409 and self.retry_after > 0)

    @property
    def may_pass(self) -> bool:
        """Tell if the request may go better a little later. A proxy's errors have no code."""
        return self.status in (500, 503) or (self.status > 500 and self.code is None)

    def __str__(self) -> str:
        code = "" if self.code in (None, self.status) else f"/{self.code}"
        return clean(f"{self.status}{code} {self.message}")


def decimal(text: object) -> Decimal:
    try:
        return Decimal(str(text))
    except InvalidOperation:
        return Decimal(0)


Get = Callable[[str], Reply]


class Site:
    """A Pixian Web site, called with a team's key. A call has a connection of its own."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StopError(USAGE, f"{clean(url)} isn't an address such as https://cutouts.example.org.")
        self.url = url.rstrip("/")
        self._parts = parts
        # The site shows a key as ID:SECRET; programs also know it in base64.
        plain = ":" in key
        self._key = base64.b64encode(key.encode()).decode() if plain else key

    def cut_out(self, task: Task, form: Mapping[str, str], key: str, part: BinaryIO) -> Reply:
        """Send a picture, and write the result to ``part``. key: the Idempotency-Key, if any.

        Raises UnansweredError, and ChangedError if the file isn't the one that was hashed any more.
        """
        before, after = form_around(task.source.path.name, form)
        length = len(before) + task.source.size + len(after)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(length)}
        if key:
            headers["Idempotency-Key"] = key
        body = form_body(before, task.source, task.sha256, after)
        return self._ask("POST", "/api/v2/remove-background", part, body, headers)

    def download(self, job: int, part: BinaryIO) -> Reply:
        return self._ask("GET", f"/api/jobs/{job}/result", part)

    def get(self, path: str) -> Reply:
        """Return the response to a GET, its body as the message."""
        with self._response("GET", path, None, {}) as response, lost_lines():
            body = response.read().decode(errors="replace")
            return Reply(response.status, response.headers, message=body)

    def is_up(self) -> bool:
        try:
            self.get("/healthz")
        except UnansweredError:
            return False
        return True

    def _ask(
        self,
        method: str,
        path: str,
        part: BinaryIO,
        body: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        with self._response(method, path, body, headers or {}) as response:
            if response.status != http.HTTPStatus.OK:
                return error_reply(response)
            part.seek(0)
            part.truncate()
            for chunk in read_body(response):
                part.write(chunk)
            return Reply(response.status, response.headers)

    @contextmanager
    def _response(
        self, method: str, path: str, body: Iterable[bytes] | None, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        sent = {"Authorization": f"Basic {self._key}", "User-Agent": "pixian-web.py", **headers}
        try:
            with lost_lines():
                # A site that refuses a request may close the line before it is all sent.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, path, body, sent)
                response = connection.getresponse()
            yield response
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = str(self._parts.hostname), self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=IDLE_SECONDS)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=IDLE_SECONDS, context=context)


@contextmanager
def lost_lines() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise UnansweredError(str(error) or type(error).__name__) from error


def read_body(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield a body in chunks; raises UnansweredError if it isn't whole."""
    expected, size, tail = response.length, 0, b""
    while True:
        with lost_lines():
            chunk = response.read(CHUNK_BYTES)
        if not chunk:
            break
        size += len(chunk)
        tail = (tail + chunk)[-16:]
        yield chunk
    if expected is not None and size != expected:
        raise UnansweredError(f"{size} of {expected} bytes came")
    # Without a length, a line that was cut looks like the end.
    if expected is None and not response.chunked and not tail.endswith((PNG_END, JPEG_END)):
        raise UnansweredError("the result isn't whole")


def error_reply(response: http.client.HTTPResponse) -> Reply:
    with lost_lines():
        text = response.read(MAX_ERROR_BYTES).decode(errors="replace")
    try:
        error = json.loads(text)["error"]
        return Reply(response.status, response.headers, int(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return Reply(response.status, response.headers, None, response.reason)


def form_around(name: str, form: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return what comes before and after the picture in a multipart form."""
    lines = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field_}"\r\n\r\n{text}\r\n'
        for field_, text in form.items()
    ]
    safe = clean(name).replace("\\", "_").replace('"', "%22")
    lines.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{safe}"\r\n')
    lines.append("Content-Type: application/octet-stream\r\n\r\n")
    return "".join(lines).encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


def form_body(before: bytes, source: Source, sha256: str, after: bytes) -> Iterator[bytes]:
    """Yield a form. Its end, without which it is no call, is held back unless the file has the hash."""
    digest, size = hashlib.sha256(), 0
    yield before
    try:
        with source.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                if size > source.size:
                    break
                yield chunk
    except OSError as error:
        raise ChangedError(f"can't be read: {error.strerror}") from error
    if size != source.size or digest.hexdigest() != sha256:
        raise ChangedError("changed while it was read")
    yield after


# One picture's call ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A call to make, and where its result goes.

    targets: a path in the output folder for each source with this content. pixels: 0 if unknown.
    """

    id: str
    sha256: str
    pixels: int
    targets: dict[Source, Path] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        return next(iter(self.targets))


@dataclass(frozen=True)
class Ending:
    """The end of a task in this run. credits: of its call, which may have been made by an earlier run."""

    state: State
    reason: str = ""
    credits: Decimal = Decimal(0)


SKIPPED = Ending(State.REFUSED)


class History:
    """The site's history of the team's calls, by which a call is found whose key the site has forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_days: dict[tuple[str, str], dict[str, list[int]]] = {}

    def find(self, get: Get, sha256: str, options: Mapping[str, str], at: float) -> dict[str, Any] | None:
        """Return the best job with this picture and these options from when a call was sent, if any.

        Raises LookupError if the history can't be read, and what ``get`` raises.
        """
        first = datetime.fromtimestamp(at, UTC).date() - timedelta(days=1)
        last = first + timedelta(days=3)
        ranks = {"done": 0, "failed": 2}
        try:
            with self._lock:
                jobs = self._jobs(get, str(first), str(last)).get(sha256, [])
            found = [read_json(get, f"/api/jobs/{number}") for number in jobs]
            matching = [job for job in found if job["options"] == dict(options)]
            best = min(matching, key=lambda job: ranks.get(job["state"], 1), default=None)
            return best and {name: best[name] for name in ("id", "state", "charged", "booked")}
        except (AttributeError, KeyError, TypeError) as error:  # it is JSON, but not what a site answers
            raise LookupError("the history makes no sense") from error

    def _jobs(self, get: Get, since: str, until: str) -> dict[str, list[int]]:
        """Return the ids of some days' jobs by the hash of their picture."""
        if (since, until) not in self._by_days:
            by_hash: dict[str, list[int]] = {}
            query = urlencode({"origin": "api", "since": since, "until": until, "limit": 100})
            path: str | None = f"/api/jobs?{query}"
            while path:
                page = read_json(get, path)
                for job in page["items"]:
                    by_hash.setdefault(job["picture"]["sha256"], []).append(job["id"])
                path = page["next"] and f"/api/jobs?{urlsplit(page['next']).query}"
            self._by_days[since, until] = by_hash
        return self._by_days[since, until]


def read_json(get: Get, path: str) -> dict[str, Any]:
    reply = get(path)
    if reply.status != http.HTTPStatus.OK:
        raise LookupError(f"the history can't be read: {reply.status}")
    try:
        found: dict[str, Any] = json.loads(reply.message)
    except ValueError as error:
        raise LookupError("the history isn't JSON") from error
    return found


class Caller:
    """One thread's calls, which back off by themselves."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._refusals = 0
        self._unsure = False

    def settle(self, task: Task) -> Ending:
        """Bring a task to its end, its result under each of its names.

        Raises StopError, and HaltedError if the run is stopping.
        """
        try:
            return self._settle(task)
        except UnansweredError as error:
            return Ending(State.FAILED, f"no response: {clean(error)}")
        except TakenError:
            return Ending(State.FAILED, "another file has the result's name now")

    def _settle(self, task: Task) -> Ending:
        journal = self._run.journal
        if local := journal.result_of(task.id, task.targets.values()):
            self._place(task, local)
            return Ending(State.DONE)
        first = task.targets[task.source]
        with opened_part(first, task) as part:
            ending, past = self._obtain(task, part)
            if ending.state is State.DONE:
                part.flush()
                os.fsync(part.fileno())
                # Noted before the rename, so that a file under its final name is always known as ours.
                result = hash_file(Path(part.name))
                journal.note(task.id, Past(State.DONE, past.number, past.at, result=result))
                self._rename(part, first, task)
        if ending.state is State.DONE:
            self._place(task, first)
        elif ending.state is not State.FAILED:
            journal.note(task.id, Past(ending.state, past.number, past.at, ending.reason))
        return ending

    def price(self, task: Task) -> Decimal:
        """Return what a call would cost, by a free test; raises LookupError if that isn't known."""
        form = self._run.options | {"test": "true"}
        with tempfile.TemporaryFile() as part:
            try:
                reply = self._insist(lambda: self._run.site.cut_out(task, form, "", part))
            except (UnansweredError, ChangedError) as error:
                raise LookupError(str(error)) from error
        if reply.status != http.HTTPStatus.OK:
            raise LookupError(str(reply))
        return decimal(reply.headers.get("X-Credits-Calculated"))

    def _place(self, task: Task, result: Path) -> None:
        """Give a result all of its names. ``result`` may be one of them."""
        for source, target in task.targets.items():
            if target != result:
                with opened_part(target, task) as part, result.open("rb") as file:
                    shutil.copyfileobj(file, part)
                    part.flush()
                    os.fsync(part.fileno())
                    self._rename(part, target, task)
            placed = Placed(task.id, task.sha256, source.size, source.mtime_ns, str(target))
            self._run.journal.place(str(source.path), placed)

    def _rename(self, part: BinaryIO, target: Path, task: Task) -> None:
        """Give a result its final name; raises TakenError if another picture's, or an edited one, has it."""
        # Checked again, since hours may have passed since the name was chosen.
        if target.exists() and not self._run.journal.may_replace(target, task.id, task.sha256):
            raise TakenError
        Path(part.name).replace(target)

    def _obtain(self, task: Task, part: BinaryIO) -> tuple[Ending, Past]:
        """Return how the task ends, its result in ``part``: by a call, or from an earlier one."""
        past = self._run.journal.tasks.get(task.id, UNSENT)
        if past.state is State.FREE:
            return self._call_anew(task, past.number, part)
        if past.state in (State.REFUSED, State.LOST):  # only here if they were asked for again
            return self._call_anew(task, past.number + 1, part)
        if past.state is State.DOUBT or past.age > KEY_LASTS:
            return self._find(task, past, part)
        return self._call(task, past, part), past

    def _call_anew(self, task: Task, number: int, part: BinaryIO) -> tuple[Ending, Past]:
        """Make a call under a key that no call was made under."""
        past = Past(State.SENT, number, time.time())
        self._run.journal.note(task.id, past)
        return self._call(task, past, part, is_new=True), past

    def _find(self, task: Task, past: Past, part: BinaryIO) -> tuple[Ending, Past]:
        """Look up in the history what came of an earlier call."""
        try:
            job = self._run.history.find(self._get, task.sha256, self._run.options, past.at)
            reason = f"the site's job {job['id']} is {job['state']}" if job else "the site doesn't know it"
        except LookupError as error:
            if past.age < KEY_LASTS:
                return self._call(task, past, part), past
            job, reason = None, str(error)
        if job and job["state"] == "done":
            number = job["id"]
            reply = self._insist(lambda: self._run.site.download(number, part), is_call=False)
            if reply.status == http.HTTPStatus.OK:
                return Ending(State.DONE, credits=decimal(job["charged"])), past
            reason = str(reply)
        is_free = job and job["state"] == "failed" and not decimal(job["booked"])
        if is_free or self._run.again:
            return self._call_anew(task, past.number + 1, part)
        sent = datetime.fromtimestamp(past.at).astimezone().strftime("%Y-%m-%d %H:%M")
        return Ending(State.DOUBT, f"sent on {sent}, and may have been charged: {clean(reason)}"), past

    def _call(self, task: Task, past: Past, part: BinaryIO, *, is_new: bool = False) -> Ending:
        """Make a call, or repeat one. is_new: nothing was sent under this key before."""
        self._unsure = not is_new
        key, options = f"pixian-web-{task.id}-{past.number}", self._run.options
        try:
            reply = self._insist(lambda: self._run.site.cut_out(task, options, key, part))
        except ChangedError as error:
            return self._without_call(str(error))
        except StopError as error:
            if error.code != UNREACHABLE and not self._unsure:
                self._run.journal.note(task.id, Past(State.FREE, past.number, past.at))
            raise
        if reply.status == 429:
            return self._without_call(str(reply))
        return ending_of(reply)

    def _without_call(self, reason: str) -> Ending:
        """End a task that wasn't processed this time. An earlier try may have been."""
        return Ending(State.FAILED if self._unsure else State.FREE, reason)

    def _get(self, path: str) -> Reply:
        return self._insist(lambda: self._run.site.get(path), is_call=False)

    def _insist(self, ask: Callable[[], Reply], *, is_call: bool = True) -> Reply:
        """Repeat a request until its response is final, or there were too many others.

        Raises ChangedError, HaltedError, UnansweredError, and StopError for what stops all pictures.
        """
        failures = refusals = 0
        while True:
            try:
                reply = ask()
            except UnansweredError as error:
                self._unsure = True
                failures += 1
                if failures > MAX_FAILURES:
                    raise self._give_up(error) from error
                self._pause(BACKOFF_SECONDS * failures)
                continue
            if is_call:
                check_reply(reply)
            if reply.asks_to_wait and refusals < MAX_REFUSALS:
                refusals += 1
                self._refusals += 1
                self._pause(max(BACKOFF_SECONDS * self._refusals, reply.retry_after))
            elif reply.may_pass and failures < MAX_FAILURES:
                self._unsure = True
                failures += 1
                self._pause(max(BACKOFF_SECONDS * failures, reply.retry_after))
            else:
                self._refusals = 0
                return reply

    def _give_up(self, error: UnansweredError) -> Exception:
        if self._run.site.is_up():
            return error
        return StopError(UNREACHABLE, f"{self._run.site.url} can't be reached: {clean(error)}")

    def _pause(self, seconds: float) -> None:
        if self._run.halt.wait(seconds):
            raise HaltedError


def ending_of(reply: Reply) -> Ending:
    """Return how a call ended. FAILED: the same request may bring a result later."""
    match reply.status:
        case 200:
            return Ending(State.DONE, credits=decimal(reply.headers.get("X-Credits-Charged")))
        case 504 if reply.code is not None:
            return Ending(State.DOUBT, str(reply))
        case 410 | 502 if reply.code is not None:
            return Ending(State.LOST, str(reply))
        case status if status >= 500 or status == 409:
            return Ending(State.FAILED, str(reply))
    return Ending(State.REFUSED, str(reply))


def check_reply(reply: Reply) -> None:
    """Raise StopError for a response that all other pictures would get too."""
    match reply.status:
        case 401 | 403:
            raise StopError(KEY_REFUSED, f"The key was refused: {reply}")
        case 402:
            raise StopError(NO_CREDITS, f"Not enough credits: {reply}")
        case 400 if reply.code == 1019:
            raise StopError(USAGE, f"An option is wrong: {reply}")
        case 404 | 405 if reply.code is None:
            raise StopError(USAGE, f"This isn't the address of a Pixian Web site: {reply}")
        case status if 300 <= status < 400:
            raise StopError(USAGE, f"The address redirects to {clean(reply.headers.get('Location'))}")


@contextmanager
def opened_part(target: Path, task: Task) -> Iterator[BinaryIO]:
    """Open the file that a result is written to, beside its final name; removed unless it was renamed."""
    path = target.with_name(f".pixian-web-{task.id[:16]}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


# A run ----------------------------------------------------------------------------------------------


@dataclass
class Run:
    """State that all calls of a run share. again: whether calls that brought nothing are made again."""

    site: Site
    journal: Journal
    folder: Path
    out: Path
    options: dict[str, str]
    again: bool = False
    threads: int = THREADS
    halt: threading.Event = field(default_factory=threading.Event)
    history: History = field(init=False)

    @property
    def ending(self) -> str:
        """Return the ending of the results' names."""
        format_ = self.options.get("output.format", "auto")
        is_jpeg = format_ == "jpeg" or (format_ == "auto" and "background.color" in self.options)
        return ".jpg" if is_jpeg else ".png"


@dataclass
class Plan:
    """Tasks of a run, and counts of what needs none. problems: pictures without a result by name, and why."""

    tasks: dict[str, Task] = field(default_factory=dict)
    done: int = 0
    not_pictures: list[str] = field(default_factory=list)
    in_the_way: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def pictures(self) -> int:
        return sum(len(task.targets) for task in self.tasks.values())

    def unpaid(self, run: Run) -> list[Task]:
        """Return the tasks that need a new call, as far as is known here."""
        called = (State.SENT, State.DONE) if run.again else (State.SENT, State.DONE, State.DOUBT)
        past = run.journal.tasks
        return [task for task in self.tasks.values() if past.get(task.id, UNSENT).state not in called]


def make_plan(run: Run, sources: Iterable[Source]) -> Plan:
    plan = Plan()
    for source in sources:
        try:
            _add(run, plan, source)
        except OSError as error:
            plan.problems.append((source.name, f"can't be read: {error.strerror}"))
    return plan


def _add(run: Run, plan: Plan, source: Source) -> None:
    placed = run.journal.placed.get(str(source.path))
    is_same = placed and (placed.size, placed.mtime_ns) == (source.size, source.mtime_ns)
    sha256 = placed.sha256 if placed and is_same else None
    is_done = placed and sha256 and placed.task == task_id(sha256, run.options)
    if placed and is_done and run.journal.is_in_place(source, placed):
        plan.done += 1
        return
    pixels = count_pixels(source.path)
    if pixels is None:
        plan.not_pictures.append(source.name)
        return
    sha256 = sha256 or hash_file(source.path)
    task = plan.tasks.get(task_id(sha256, run.options)) or Task(task_id(sha256, run.options), sha256, pixels)
    past = run.journal.tasks.get(task.id, UNSENT)
    if past.state in (State.REFUSED, State.LOST) and not run.again:
        plan.problems.append((source.name, f"{past.reason} (in an earlier run; --again sends it again)"))
        return
    target = find_target(run, source, task)
    if target is None:
        plan.in_the_way.append(source.name)
        return
    plan.tasks[task.id] = task
    task.targets[source] = target


def find_target(run: Run, source: Source, task: Task) -> Path | None:
    """Return where a source's result goes, and keep that name for it; None if a file is in the way.

    A file there is replaced only if its content is a result of this picture, by whatever options. If it is
    another picture's, or the name is kept for another source, the next name is tried. A name whose source is
    gone is free again once there is no file.
    """
    is_in_the_way = False
    for name in result_names(source, run.ending):
        target = run.out / name
        owner = run.journal.owner(target)
        is_kept = owner is not None and owner != str(source.path) and Path(owner).exists()
        if target.exists():
            if run.journal.may_replace(target, task.id, task.sha256):
                break
            is_in_the_way |= not (run.journal.tasks_of(target) or is_kept)
        elif not is_kept:
            if is_in_the_way:
                return None
            break
    run.journal.claim(target, str(source.path))
    return target


def result_names(source: Source, ending: str) -> Iterator[Path]:
    """Yield the names that a source's result may have: photo.png, photo.tif.png, photo.tif-2.png, ..."""
    name = Path(source.name)
    yield name.with_suffix(ending)
    yield name.with_name(name.name + ending)
    for number in itertools.count(2):
        yield name.with_name(f"{name.name}-{number}{ending}")


class Batch:
    """The tasks of a plan, done in several threads."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self.endings: dict[str, Ending] = {}
        self.stopped: StopError | None = None
        self._fault: Exception | None = None
        run.history = History()
        self._run = run
        self._plan = plan
        self._lock = threading.Lock()
        self._named = self._working = 0
        self._queue: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in plan.tasks.values():
            self._queue.put(task)

    def work(self) -> None:
        """Do all tasks, or as many as a StopError lets; see ``stopped``.

        Raises KeyboardInterrupt, once the calls under way have ended or at the second Ctrl-C, and an
        exception that a thread didn't expect, once the calls of the others have ended.
        """
        began, started = time.monotonic(), 0
        try:
            while not (self._run.halt.is_set() or self._queue.empty()):
                allowed = THREADS + int((time.monotonic() - began) / NEXT_THREAD_SECONDS)
                if started < min(allowed, self._run.threads, len(self._plan.tasks)):
                    started += 1
                    with self._lock:
                        self._working += 1
                    threading.Thread(target=self._work, daemon=True).start()
                else:
                    time.sleep(POLL_SECONDS)
            self._wait()
        except KeyboardInterrupt:
            self._run.halt.set()
            if self._working:
                say("Waiting for the calls under way. Ctrl-C again leaves them to the next run.")
            self._wait()
            raise
        if self._fault:
            raise self._fault

    def _wait(self) -> None:
        # Not by Thread.join: if a signal interrupts it, Python 3.11 takes the thread for ended.
        while self._working:
            time.sleep(POLL_SECONDS)

    def _work(self) -> None:
        try:
            caller = Caller(self._run)
            while not self._run.halt.is_set():
                task = self._queue.get_nowait()
                self._count(task, caller.settle(task))
        except (queue.Empty, HaltedError):
            pass
        except StopError as error:
            self._stop(error)
        except OSError as error:
            self._stop(StopError(NOT_WRITABLE, f"The output folder can't be written: {error.strerror}."))
        except Exception as error:  # noqa: BLE001 - work() raises it; here it would end only a thread
            self._fault = self._fault or error
            self._run.halt.set()
        finally:
            with self._lock:
                self._working -= 1

    def _stop(self, error: StopError) -> None:
        with self._lock:
            self.stopped = self.stopped or error
        self._run.halt.set()

    def _count(self, task: Task, ending: Ending) -> None:
        with self._lock:
            self.endings[task.id] = ending
            for source, target in task.targets.items():
                self._named += 1
                here = f"[{self._named}/{self._plan.pictures}] {clean(source.name)}"
                if ending.state is State.DONE:
                    name = clean(target.relative_to(self._run.out))
                    paid = ending.credits if source == task.source else Decimal(0)  # twins are one call
                    say(f"{here} → {name}  {credits_text(paid)} credits")
                else:
                    say(f"{here}: {ending.reason}")
                    self._plan.problems.append((source.name, ending.reason))


def summarize(plan: Plan, batch: Batch) -> int:
    """Print what was done and what wasn't; return the exit code."""
    endings = [(batch.endings[task.id], task) for task in plan.tasks.values() if task.id in batch.endings]
    done = [(ending, task) for ending, task in endings if ending.state is State.DONE]
    pictures = sum(len(task.targets) for _, task in done)
    total = credits_text(sum((ending.credits for ending, _ in done), Decimal(0)))
    say(f"{plural(pictures, 'picture')} done, {total} credits. {plan.done:,} done before.")
    left = plan.pictures - sum(len(task.targets) for _, task in endings)
    if left:
        say(f"{plural(left, 'picture')} left for the next run.")
    show_skipped(plan)
    if plan.problems:
        say(f"{plural(len(plan.problems), 'picture')} without a result:")
        for name, reason in plan.problems:
            say(f"  {clean(name)}: {reason}")
    if batch.stopped:
        say(str(batch.stopped))
        return batch.stopped.code
    return SOME_FAILED if left or plan.problems else ALL_DONE


def show_skipped(plan: Plan) -> None:
    in_the_way = "a file that this program didn't write, or that was edited since, has the result's name"
    skipped = {
        "Skipped, no pictures": plan.not_pictures,
        f"Skipped, {in_the_way}": plan.in_the_way,
    }
    for why, names in skipped.items():
        if names:
            more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
            say(f"{why}: {', '.join(map(clean, names[:LISTED]))}{more}")


# The commands ---------------------------------------------------------------------------------------


def login(arguments: argparse.Namespace) -> int:
    key = getpass.getpass("Key (ID:SECRET): ") if sys.stdin.isatty() else sys.stdin.readline()
    site = Site(arguments.address, key.strip())
    try:
        reply = site.get("/api/v2/account")
    except UnansweredError as error:
        raise StopError(UNREACHABLE, f"{site.url} can't be reached: {clean(error)}") from error
    if reply.status == 401:
        raise StopError(KEY_REFUSED, "The site doesn't know this key.")
    if reply.status not in (200, 403):  # 403: a key that may not see the balance
        raise StopError(USAGE, f"{site.url} doesn't answer as a Pixian Web site does: {reply.status}")
    write_config(config_path(), site.url, key.strip())
    say(f"Kept in {config_path()}, which only you can read.")
    return ALL_DONE


def remove(arguments: argparse.Namespace) -> int:
    with begun(arguments) as run:
        plan = make_plan(run, walk(run.folder, run.out))
        if not confirm(run, plan, yes=arguments.yes):
            say("Nothing was sent.")
            return SOME_FAILED
        batch = Batch(run, plan)
        try:
            batch.work()
        except KeyboardInterrupt:
            summarize(plan, batch)
            return INTERRUPTED
        except Exception:
            summarize(plan, batch)
            raise
        return summarize(plan, batch)


@contextmanager
def begun(arguments: argparse.Namespace) -> Iterator[Run]:
    """Yield the run that the command line asks for; raises StopError."""
    folder, out = arguments.folder.resolve(), arguments.to.resolve()
    if not folder.is_dir():
        raise StopError(USAGE, f"{clean(folder)} isn't a folder.")
    if folder == out:
        raise StopError(USAGE, "The results need a folder of their own.")
    site = find_site(arguments)
    options = read_options(arguments)
    with Journal(out) as journal:
        yield Run(site, journal, folder, out, options, arguments.again, arguments.threads)


def confirm(run: Run, plan: Plan, *, yes: bool) -> bool:
    """Show what the calls may cost, and ask if there are many; raises StopError if there is nobody to ask."""
    unpaid = plan.unpaid(run)
    if not unpaid:
        return True
    megapixels = sum(Decimal(priced_pixels(run, task)) for task in unpaid) / 10**6
    say(f"{plural(len(unpaid), 'picture')} to send, {megapixels:,.1f} megapixels: {estimate(run, unpaid)}.")
    if len(unpaid) <= ASK_ABOVE or yes:
        return True
    if not sys.stdin.isatty():
        raise StopError(USAGE, f"These are more than {ASK_ABOVE}. Add --yes to send them.")
    return input("Send them? [y/N] ").strip().lower() in ("y", "yes")


def estimate(run: Run, tasks: list[Task]) -> str:
    """Say what tasks cost at most. The smallest picture sets the price, since it costs most per megapixel."""
    if "test" in run.options:
        return "0 credits"
    smallest = min(tasks, key=lambda task: priced_pixels(run, task))
    try:
        price = Caller(run).price(smallest)
    except LookupError as error:
        return f"what they cost isn't known ({clean(error)})"
    pixels = sum(priced_pixels(run, task) for task in tasks)
    most = price * pixels / priced_pixels(run, smallest)
    return f"{credits_text(most)} credits at most, by a free test of {clean(smallest.source.name)}"


def priced_pixels(run: Run, task: Task) -> int:
    most = int(run.options.get("max_pixels", MAX_PIXELS))
    return min(task.pixels or MAX_PIXELS, most, MAX_PIXELS)


def watch(arguments: argparse.Namespace) -> int:
    with begun(arguments) as run:
        watcher = Watcher(run, arguments.settle)
        say(f"Watching {clean(run.folder)}. Ctrl-C stops.")
        try:
            watcher.whole()
            time.sleep(arguments.settle)
            plan = make_plan(run, watcher.whole())  # what was there before
            many = len(plan.unpaid(run)) > ASK_ABOVE
            if many and not arguments.yes and not confirm(run, plan, yes=False):
                return SOME_FAILED
            while True:
                watcher.work(plan)
                time.sleep(arguments.every)
                plan = make_plan(run, watcher.whole())
        except KeyboardInterrupt:
            say("Stopped. Started again, it goes on where it was.")
            return ALL_DONE


class Watcher:
    """A folder's files as they come: each is handed on once it has stopped changing."""

    def __init__(self, run: Run, settle_seconds: float) -> None:
        self._run = run
        self._settle_seconds = settle_seconds
        self._due_at: dict[Source, float] = {}

    def whole(self) -> list[Source]:
        """Return the files that are to be looked at now."""
        now = time.monotonic()
        sources = list(walk(self._run.folder, self._run.out))
        # A file that has grown is another Source, whose time begins anew.
        self._due_at = {each: self._due_at.get(each, now + self._settle_seconds) for each in sources}
        return [source for source in sources if self._due_at[source] <= now]

    def work(self, plan: Plan) -> None:
        """Do a plan's tasks; wait for a site that is away, or for credits. Raises any other StopError."""
        show_skipped(plan)
        for name, reason in plan.problems:
            say(f"{clean(name)}: {reason}")
        batch = Batch(self._run, plan)
        batch.work()
        tasks = plan.tasks.values()
        endings = {source: batch.endings.get(task.id) for task in tasks for source in task.targets}
        now = time.monotonic()
        for source in [source for source, due_at in self._due_at.items() if due_at <= now]:
            ending = endings.get(source, SKIPPED)
            may_pass = ending is None or ending.state in (State.FREE, State.FAILED)
            self._due_at[source] = now + RETRY_SECONDS if may_pass else math.inf
        if batch.stopped:
            if batch.stopped.code not in (NO_CREDITS, UNREACHABLE):
                raise batch.stopped
            say(f"{batch.stopped} Trying again every {RETRY_SECONDS:.0f} seconds.")
            self._run.halt.clear()


# The command line -----------------------------------------------------------------------------------


def read_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the contract's form fields, spelled as the site stores them."""
    color = arguments.background.lstrip("#").upper()
    form = {
        "background.color": f"#{color}" if color else "",
        "output.format": arguments.format,
        "output.jpeg_quality": arguments.quality,
        "result.crop_to_foreground": "true" if arguments.crop else "",
        "result.margin": " ".join(arguments.margin.lower().split()),
        "result.target_size": " ".join(arguments.size.lower().replace("x", " ").split()),
        "result.vertical_alignment": arguments.align,
        "max_pixels": arguments.max_pixels,
        "test": "true" if arguments.test else "",
    }
    return {name: str(value) for name, value in form.items() if value not in (None, "")}


def add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    threads_help = f"calls at once, {THREADS} by default; above {THREADS}, one more every 5 minutes"
    add("folder", type=Path, metavar="FOLDER", help="the pictures, in sub-folders too")
    add("--to", type=Path, required=True, metavar="OUT", help="the folder of the results")
    add("--background", default="", metavar="#RRGGBB", help="fill the background; else it is transparent")
    add("--format", choices=["auto", "png", "jpeg", "delta_png"], help="auto: JPEG with a background, or PNG")
    add("--quality", type=int, metavar="1-100", help="of a JPEG")
    add("--crop", action="store_true", help="crop to the subject")
    add("--margin", default="", metavar="MARGIN", help="around the subject, such as '10px 5%%'")
    add("--size", default="", metavar="WxH", help="the exact size of the result, such as 1920x1080")
    add("--align", choices=["top", "middle", "bottom"], help="where the subject is, if height is left over")
    add("--max-pixels", type=int, metavar="N", help="scale larger pictures down first")
    add("--test", action="store_true", help="free of charge, with a watermark")
    add("--yes", action="store_true", help=f"don't ask, even above {ASK_ABOVE} pictures")
    add("--again", action="store_true", help="send what was refused, lost or in doubt again, as a new call")
    add("--threads", type=thread_count, default=THREADS, metavar="N", help=threads_help)
    add("--url", help="the site's address; else PIXIAN_WEB_URL, or that of login")
    add("--key-file", type=Path, metavar="FILE", help="has ID:SECRET; else PIXIAN_WEB_KEY, or that of login")


def thread_count(text: str) -> int:
    if not 1 <= int(text) <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_THREADS}")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    about, _, codes = (__doc__ or "").rpartition("\n\n")
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("pixian-web.py", description=about, epilog=codes, formatter_class=style)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("login", help="ask for a key and keep it in a file that only you can read")
    command.add_argument("address", metavar="URL")
    command.set_defaults(run=login)
    command = commands.add_parser("remove", help="remove the backgrounds of a folder's pictures")
    add_flags(command)
    command.set_defaults(run=remove)
    command = commands.add_parser("watch", help="do the same for each new picture, until it is stopped")
    add_flags(command)
    add = command.add_argument
    settle_help = f"how long a file must not change to count as whole, {SETTLE_SECONDS:.0f} by default"
    every_help = f"how often to look, {WATCH_EVERY_SECONDS:.0f} by default"
    add("--settle", type=float, default=SETTLE_SECONDS, metavar="SECONDS", help=settle_help)
    add("--every", type=float, default=WATCH_EVERY_SECONDS, metavar="SECONDS", help=every_help)
    command.set_defaults(run=watch)
    return parser


def main() -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = make_parser().parse_args()
    try:
        code: int = arguments.run(arguments)
    except StopError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
