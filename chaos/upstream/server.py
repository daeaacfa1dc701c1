"""The server that speaks the contract: each call goes wrong as chosen, and into the journal first."""

import asyncio
import hashlib
import io
import json
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from chaos.upstream.faults import (
    OK,
    Fault,
    Mix,
    Sends,
    Then,
    draw,
    parse_fault,
    parse_header,
    parse_script,
    refusal,
)
from chaos.upstream.journal import Call, Charge, Journal, Purchase
from chaos.upstream.responses import SIZE, Work, charge_headers, compose, send
from chaos.upstream.wire import Head, Listener, Wire, format_head, read_body, read_head
from pixian.imaging.decode import open_picture
from pixian.protocol.credentials import Credentials
from pixian.protocol.credits import format_credits
from pixian.protocol.errors import ApiError, Code, Refused, bad_parameter, too_many_bytes
from pixian.protocol.limits import MAX_PROCESSED_PIXELS, MAX_UPLOAD_BYTES

CALL = ("POST", "/api/v2/remove-background")
ACCOUNT = ("GET", "/api/v2/account")
KNOWN = Credentials("px0123456789abc", "0" * 52)
OUT_OF_CREDITS = 1011
CREDIT = MEGAPIXEL = 1_000_000
FAR_OFF = "9999-12-31T23:59:59Z"
BROKEN_OFF = Fault("The upload broke off.", "broken_off", sends=Sends.NOTHING, then=Then.CLOSE)

BOUNDARY = re.compile(r'\bboundary="?([^";]+)"?', re.IGNORECASE)
NAME = re.compile(rb';\s*name="([^"]*)"', re.IGNORECASE)
FILE_NAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """The command line's options.

    delay: seconds before each response that takes work, not scaled. scale: multiplies the faults' times.
    microcredits: a fixed price; None if pixels make it. result_bytes: a result's least size.
    """

    bind: str = "127.0.0.1"
    port: int = 0
    credentials: Credentials = KNOWN
    seed: int = 0
    mix: Mix = (("ok", 1),)
    delay: float = 0
    scale: float = 1
    microcredits: int | None = None
    microcredits_per_megapixel: int = CREDIT
    opening_microcredits: int = 1_000_000 * CREDIT
    result_bytes: int = 0


@dataclass
class Choice:
    """Picks a call's fault: by its header, a script, its picture or the seed, in this order.

    ``script`` is used up in the order in which calls arrive; ``account`` likewise, by account calls. A
    picture's faults are used up too, but a single one (``always``) holds for every call with it.
    """

    seed: int = 0
    mix: Mix = (("ok", 1),)
    script: deque[Fault] = field(default_factory=deque)
    account: deque[Fault] = field(default_factory=deque)
    pictures: dict[str, deque[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)

    def by_head(self, number: int, asked: Fault | None) -> tuple[Fault, bool]:
        """Choose on a call's head; the flag says that the picture can't change it any more."""
        if asked or self.script:
            return asked or self.script.popleft(), True
        return draw(self.seed, self.mix, number), False

    def by_picture(self, sha256: str, otherwise: Fault) -> Fault:
        if left := self.pictures.get(sha256):
            return left.popleft()
        return self.always.get(sha256, otherwise)

    def clear(self) -> None:
        """Go back to the seed."""
        for given in (self.script, self.account, self.pictures, self.always):
            given.clear()


@dataclass(frozen=True)
class Upload:
    """A call's form: content and "is it a file" by name, and the hash of its picture."""

    parts: dict[str, tuple[bytes, bool]]
    sha256: str | None

    @property
    def size(self) -> int | None:
        return len(self.parts["image"][0]) if self.sha256 else None


class Upstream:
    """The whole server. in_flight: calls at the moment; last: the number of the latest."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self.settings = settings
        self.journal = journal
        self.choice = Choice(settings.seed, settings.mix)
        self.listener = Listener(settings.bind, settings.port, self._talk)
        self.in_flight = 0
        self.last = journal.last_call

    @property
    def balance_microcredits(self) -> int:
        return self.settings.opening_microcredits + self.journal.balance_microcredits

    async def _talk(self, wire: Wire) -> None:
        while head := await read_head(wire.reader):
            answer = self._call if (head.method, head.path) == CALL else self._other
            if not (await answer(head, wire) and head.keeps_alive):
                break

    async def _other(self, head: Head, wire: Wire) -> bool:
        await read_body(head, wire)
        try:
            authenticate(head, self.settings.credentials)
            if (head.method, head.path) != ACCOUNT:
                raise Refused(404, 404, "There is nothing here.")
        except ApiError as error:
            fault = refusal(error)
        else:
            fault = self.choose_account()
        response = json_response(self._account()) if fault is OK else compose(fault, None)
        return await send(*response, fault, wire)

    def choose_account(self) -> Fault:
        return self.choice.account.popleft() if self.choice.account else OK

    def _account(self) -> str:
        """Return what is left of the opening balance, in six decimals: a float may be off by a bit."""
        balance = self.balance_microcredits
        credits_ = f"{'-' if balance < 0 else ''}{format_credits(abs(balance))}"
        return f'{{"creditPack": "none", "state": "active", "useBefore": "{FAR_OFF}", "credits": {credits_}}}'

    async def _call(self, head: Head, wire: Wire) -> bool:
        self.last += 1
        self.in_flight += 1
        try:
            return await self._answer(self.last, time.time(), head, wire)
        finally:
            self.in_flight -= 1

    async def _answer(self, n: int, at: float, head: Head, wire: Wire) -> bool:
        fault, settled = self._plan(n, head)
        upload = None
        try:
            if not fault.early:
                upload = self.receive(head, await read_body(head, wire))
        except ApiError as error:
            fault = replace(refusal(error), then=Then.RESET)
        except (ConnectionError, EOFError):
            self._note(n, at, BROKEN_OFF, None)
            raise
        work = None
        if upload:
            fault, work = self._judge(fault, upload, settled=settled)
        self._note(n, at, fault, upload)
        await self._wait(fault, work)
        self._charge(n, fault, work)
        # Before the response leaves, so that whoever has it finds the listener as it is to be.
        self.listener.resets += fault.resets
        if fault.refuses:
            self.listener.close(fault.refuses * self.settings.scale)
        response = compose(fault, work, self.settings.result_bytes)
        goes_on = await send(*response, fault, wire, fault.pause * self.settings.scale)
        if goes_on and upload is None:
            await read_body(head, wire)
        return goes_on

    def _plan(self, n: int, head: Head) -> tuple[Fault, bool]:
        """Choose on the head. A call that isn't let in uses up no script, but it does have a number."""
        try:
            authenticate(head, self.settings.credentials)
            asked = parse_header(head.headers.get("x-fault", ""))
        except ApiError as error:
            return refusal(error), True
        except ValueError as error:
            return refusal(bad_parameter("X-Fault", str(error), "a fault")), True
        return self.choose(n, asked)

    def choose(self, n: int, asked: Fault | None) -> tuple[Fault, bool]:
        return self.choice.by_head(n, asked)

    def receive(self, head: Head, body: bytes) -> Upload:
        parts = parse_form(head.headers.get("content-type", ""), body)
        content, is_file = parts.get("image", (b"", False))
        return Upload(parts, hashlib.sha256(content).hexdigest() if is_file else None)

    def _judge(self, fault: Fault, upload: Upload, *, settled: bool) -> tuple[Fault, Work | None]:
        """Return the fault in the end, and the work that it takes."""
        if upload.sha256 and not settled:
            fault = self.choice.by_picture(upload.sha256, fault)
        if fault.microcredits is not None:
            return fault, Work(upload.sha256 or "", fault.microcredits)
        try:
            return fault, self._work(upload, fault) if fault.works else None
        except ApiError as error:
            return refusal(error), None

    def _work(self, upload: Upload, fault: Fault) -> Work:
        width, height, orientation = read_picture(upload)
        price = self.settings.microcredits
        if price is None:  # by the pixels that are processed, rounded up to a whole micro-credit
            pixels = min(width * height, MAX_PROCESSED_PIXELS)
            price = -(-pixels * self.settings.microcredits_per_megapixel // MEGAPIXEL)
        headers = [("X-Input-Size", f"{width} {height}"), ("X-Result-Size", "{} {}".format(*SIZE))]
        headers.append(("X-Input-Orientation", str(orientation)))
        if upload.parts.get("test", (b"", False))[0].lower() == b"true":
            return Work(upload.sha256 or "", 0, [*headers, ("X-Credits-Calculated", format_credits(price))])
        if price > self.balance_microcredits:
            raise Refused(402, OUT_OF_CREDITS, "The account is out of credits.")
        return Work(upload.sha256 or "", price * fault.factor, headers)

    def _note(self, n: int, at: float, fault: Fault, upload: Upload | None) -> None:
        sha256, size = (upload.sha256, upload.size) if upload else (None, None)
        self.journal.write(Call(n, at, fault.name, fault.sent_status, sha256, size))

    async def _wait(self, fault: Fault, work: Work | None) -> None:
        if fault.before:
            await asyncio.get_running_loop().run_in_executor(None, fault.before)
        await asyncio.sleep(fault.delay * self.settings.scale + (self.settings.delay if work else 0))

    def _charge(self, n: int, fault: Fault, work: Work | None) -> None:
        """Sync: from here on the journal holds the call and its charge, whatever happens to this machine."""
        if work and fault.charges:
            header = ", ".join(charge_headers(fault, work)) if fault.sent_status else ""
            self.journal.write(Charge(n, time.time(), work.sha256, work.microcredits, header or None))
        self.journal.sync()


def authenticate(head: Head, known: Credentials) -> None:
    """Raise Refused 401/1001 for an unknown Id or none, and 401/1004 for a wrong secret."""
    given = Credentials.from_header(head.headers.get("authorization", ""))
    if given is None or given.api_id != known.api_id:
        raise Refused(401, Code.ID_UNKNOWN, "The API Id is unknown.")
    if given != known:
        raise Refused(401, Code.SECRET_WRONG, "The API secret is wrong.")


def read_picture(upload: Upload) -> tuple[int, int, int]:
    """Return width, height and orientation; raises Refused as the contract has it."""
    content, is_file = upload.parts.get("image", (None, False))
    if content is None:
        raise Refused(400, Code.NO_IMAGE, "There is no image parameter.")
    if not is_file:
        raise Refused(400, Code.IMAGE_AS_TEXT, "The picture came as text; send it as a file.")
    if len(content) > MAX_UPLOAD_BYTES:
        raise too_many_bytes(len(content), MAX_UPLOAD_BYTES)
    image, header = open_picture(io.BytesIO(content))
    image.close()
    return header.width, header.height, header.orientation


def parse_form(content_type: str, body: bytes) -> dict[str, tuple[bytes, bool]]:
    """Return the parts of multipart/form-data by name, and if each is a file; none if it isn't that."""
    boundary = BOUNDARY.search(content_type)
    if boundary is None:
        return {}
    parts = {}
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode("latin-1"))[1:-1]:
        about, separator, content = piece.partition(b"\r\n\r\n")
        if separator and (name := NAME.search(about)):
            parts[name[1].decode()] = (content, FILE_NAME.search(about) is not None)
    return parts


def json_response(body: str, status: int = 200) -> tuple[bytes, bytes]:
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body.encode())))]
    return format_head(status, headers), body.encode()


class Control:
    """Takes a test's orders: JSON, on a port of its own that stays open while the other refuses."""

    def __init__(self, upstream: Upstream, port: int) -> None:
        self._upstream = upstream
        self.listener = Listener(upstream.settings.bind, port, self._talk)
        choice = upstream.choice
        self._orders: dict[str, Callable[[Any], object]] = {
            "status": self._status,
            "script": lambda steps: choice.script.extend(parse_script(steps)),
            "account": lambda steps: choice.account.extend(parse_script(steps)),
            "by-sha256": self._by_sha256,
            "clear": self._clear,
            "purchase": self._purchase,
            "refuse": upstream.listener.close,
            "reset": lambda connections: setattr(upstream.listener, "resets", int(connections)),
        }

    async def _talk(self, wire: Wire) -> None:
        while head := await read_head(wire.reader):
            status, told = await self._obey(head.path.removeprefix("/control/"), await read_body(head, wire))
            wire.writer.write(b"".join(json_response(json.dumps(told), status)))
            await wire.writer.drain()

    async def _obey(self, order: str, body: bytes) -> tuple[int, object]:
        if order == "open":
            await self._upstream.listener.open()
            return 200, None
        try:
            return 200, self._orders[order](json.loads(body or b"null"))
        except (KeyError, TypeError, ValueError) as error:
            return 400, f"{type(error).__name__}: {error}"

    def _status(self, _: object) -> object:
        return {
            "calls": self._upstream.last,
            "in_flight": self._upstream.in_flight,
            "script": [step.name for step in self._upstream.choice.script],
            "balance_microcredits": self._upstream.balance_microcredits,
        }

    def _clear(self, _: object) -> None:
        self._upstream.choice.clear()
        self._upstream.listener.resets = 0

    def _by_sha256(self, given: Any) -> None:
        """Set what answers a picture: a list is used up, a single fault holds for every call with it."""
        sha256, wanted = given["sha256"], given["faults"]
        if isinstance(wanted, list):
            self._upstream.choice.pictures[sha256] = deque(parse_script(wanted))
        else:
            self._upstream.choice.always[sha256] = parse_fault(wanted)

    def _purchase(self, microcredits: Any) -> None:
        self._upstream.journal.write(Purchase(time.time(), int(microcredits)))
        self._upstream.journal.sync()
