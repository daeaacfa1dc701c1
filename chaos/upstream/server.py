"""The server that speaks the contract: each call goes wrong as chosen, and into the journal first."""

import asyncio
import hashlib
import io
import re
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import cached_property

from chaos.upstream.faults import FAULTS, Fault, Sends, Step, Then, draw, parse_fault, parse_mix, refusal
from chaos.upstream.journal import Call, Charge, Journal
from chaos.upstream.responses import SIZE, Work, charge_headers, compose, send
from chaos.upstream.wire import Head, Listener, Wire, format_head, read_body, read_head
from pixian.imaging.decode import open_picture
from pixian.protocol.credentials import Credentials
from pixian.protocol.credits import format_credits
from pixian.protocol.errors import ApiError, Code, Refused, too_many_bytes
from pixian.protocol.limits import MAX_PROCESSED_PIXELS, MAX_UPLOAD_BYTES

CALL = ("POST", "/api/v2/remove-background")
ACCOUNT = ("GET", "/api/v2/account")
KNOWN = Credentials("px0123456789abc", "0" * 52)
OUT_OF_CREDITS = 1011
FAR_OFF = "9999-12-31T23:59:59Z"
OK = FAULTS["ok"]
BROKEN_OFF = Fault("The upload broke off.", "broken_off", sends=Sends.NOTHING, then=Then.CLOSE)

BOUNDARY = re.compile(r'^multipart/form-data;.*\bboundary="?([^";]+)"?', re.IGNORECASE)
NAME = re.compile(rb';\s*name="([^"]*)"', re.IGNORECASE)
FILE_NAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """The settings that an upstream is started with.

    mix: names of faults and their weights, drawn by the seed. delay: seconds before each response that takes
    work, not scaled. scale: multiplies the faults' times. result_bytes: a result's least size. fsync: sync
    the journal; benchmarks don't.
    """

    bind: str = "127.0.0.1"
    port: int = 0
    credentials: Credentials = KNOWN
    seed: int = 0
    mix: str = "ok=1"
    delay: float = 0
    scale: float = 1
    opening_microcredits: int = 10**12
    result_bytes: int = 0
    fsync: bool = True


@dataclass(frozen=True)
class Upload:
    """A call's form. image: None unless it came as a file. texts: its other parts, by name."""

    image: bytes | None
    texts: dict[str, str]

    @cached_property
    def sha256(self) -> str | None:
        return None if self.image is None else hashlib.sha256(self.image).hexdigest()


class Upstream:
    """The whole server. in_flight: calls at the moment; last: the number of the latest.

    What answers a call is chosen by the script, by its picture or by the seed, in this order.
    """

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self.settings = settings
        self.journal = journal
        self.listener = Listener(settings.bind, settings.port, self._talk)
        self.in_flight = 0
        self.last = journal.last_call
        self._mix = parse_mix(settings.mix)
        self.script: deque[Fault] = deque()
        self._account_answers: deque[Fault] = deque()
        self._in_turn: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}

    # The orders that a test or an experiment gives.

    def answer_next(self, steps: list[Step]) -> None:
        """Append the answers to the next calls, in the order in which they arrive."""
        self.script.extend(map(parse_fault, steps))

    def answer_account(self, steps: list[Step]) -> None:
        """Do the same for account calls; ``ok`` is the true account."""
        self._account_answers.extend(map(parse_fault, steps))

    def answer_picture(self, sha256: str, steps: Step | list[Step]) -> None:
        """Set the answer to each call with this picture, or a list of answers that is used up."""
        if isinstance(steps, list):
            self._in_turn[sha256] = deque(map(parse_fault, steps))
        else:
            self._always[sha256] = parse_fault(steps)

    def clear(self) -> None:
        """Go back to the seed."""
        for chosen in (self.script, self._account_answers, self._in_turn, self._always):
            chosen.clear()
        self.listener.resets = 0

    def reset_connections(self, number: int) -> None:
        """Reset so many of the next connections when they are accepted."""
        self.listener.resets = number

    def status(self) -> dict[str, object]:
        return {
            "in_flight": self.in_flight,
            "script": [fault.name for fault in self.script],
            "balance_microcredits": self.balance_microcredits,
        }

    @property
    def balance_microcredits(self) -> int:
        return self.settings.opening_microcredits + self.journal.balance_microcredits

    # The choices, which the jobs' tests make by themselves.

    def choose(self, n: int) -> tuple[Fault, bool]:
        """Choose on a call's head; the flag says that the picture can't change it any more."""
        if self.script:
            return self.script.popleft(), True
        return draw(self.settings.seed, self._mix, n), False

    def choose_account(self) -> Fault:
        return self._account_answers.popleft() if self._account_answers else OK

    def receive(self, head: Head, body: bytes) -> Upload:
        """Parse the form; by hand, since werkzeug takes as long as all the rest of a call."""
        image, texts = None, {}
        if boundary := BOUNDARY.search(head.headers.get("content-type", "")):
            for piece in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode("latin-1"))[1:-1]:
                about, _, content = piece.partition(b"\r\n\r\n")
                name = NAME.search(about)
                if FILE_NAME.search(about) is None:
                    texts[name[1].decode() if name else ""] = content.decode(errors="replace")
                elif name and name[1] == b"image":
                    image = content
        return Upload(image, texts)

    # A connection, and a call on it.

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
        response = self._account() if fault is OK else compose(fault, None)
        return await send(*response, fault, wire)

    def _account(self) -> tuple[bytes, bytes]:
        """Answer with what is left of the opening balance, in six decimals: a float may be off by a bit."""
        balance = self.balance_microcredits
        credits_ = f"{'-' if balance < 0 else ''}{format_credits(abs(balance))}"
        body = f'{{"creditPack": "none", "state": "active", "useBefore": "{FAR_OFF}", "credits": {credits_}}}'
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        return format_head(200, headers), body.encode()

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
        if fault.before:
            await asyncio.to_thread(fault.before)
        await asyncio.sleep(fault.delay * self.settings.scale + (self.settings.delay if work else 0))
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
        except ApiError as error:
            return refusal(error), True
        return self.choose(n)

    def _judge(self, fault: Fault, upload: Upload, *, settled: bool) -> tuple[Fault, Work | None]:
        """Return the fault in the end, and the work that it takes."""
        sha256 = upload.sha256 or ""
        if not settled:
            in_turn = self._in_turn.get(sha256)
            fault = in_turn.popleft() if in_turn else self._always.get(sha256, fault)
        if fault.microcredits is not None:
            return fault, Work(sha256, fault.microcredits)
        try:
            return fault, self._work(upload, fault) if fault.works else None
        except ApiError as error:
            return refusal(error), None

    def _work(self, upload: Upload, fault: Fault) -> Work:
        """Charge a credit a megapixel that is processed: a micro-credit a pixel."""
        width, height, orientation = read_picture(upload)
        sha256, price = upload.sha256 or "", min(width * height, MAX_PROCESSED_PIXELS)
        headers = [("X-Input-Size", f"{width} {height}"), ("X-Result-Size", "{} {}".format(*SIZE))]
        headers.append(("X-Input-Orientation", str(orientation)))
        if upload.texts.get("test", "").lower() == "true":
            return Work(sha256, 0, [*headers, ("X-Credits-Calculated", format_credits(price))])
        if price > self.balance_microcredits:
            raise Refused(402, OUT_OF_CREDITS, "The account is out of credits.")
        return Work(sha256, price * fault.factor, headers)

    def _note(self, n: int, at: float, fault: Fault, upload: Upload | None) -> None:
        image = upload.image if upload else None
        sha256, size = (None, None) if upload is None or image is None else (upload.sha256, len(image))
        self.journal.write(Call(n, at, fault.name, fault.sent_status, sha256, size))

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
    if upload.image is None and "image" in upload.texts:
        raise Refused(400, Code.IMAGE_AS_TEXT, "The picture came as text; send it as a file.")
    if upload.image is None:
        raise Refused(400, Code.NO_IMAGE, "There is no image parameter.")
    if len(upload.image) > MAX_UPLOAD_BYTES:
        raise too_many_bytes(len(upload.image), MAX_UPLOAD_BYTES)
    image, header = open_picture(io.BytesIO(upload.image))
    image.close()
    return header.width, header.height, header.orientation
