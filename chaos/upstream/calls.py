"""One call from its head to its answer: what goes wrong with it, what it costs, and the log before all."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from chaos.upstream.answers import Work, charge_headers, compose, send
from chaos.upstream.choice import Chooser, Plan
from chaos.upstream.door import Door
from chaos.upstream.fault import Fault, Sends, Then, refusal
from chaos.upstream.journal import Call, Charge, Journal
from chaos.upstream.settings import Settings
from chaos.upstream.steps import asked_for
from chaos.upstream.upload import Upload, price_microcredits, read_upload
from chaos.upstream.wire import Head, Wire, read_body
from pixian.protocol.credentials import Credentials
from pixian.protocol.errors import ApiError, Code, Refused, bad_parameter

OUT_OF_CREDITS = 1011
BROKEN_OFF = Fault("The upload broke off.", "broken_off", sends=Sends.NOTHING, then=Then.CLOSE)


def authenticate(head: Head, known: Credentials) -> None:
    """Raises Refused 401/1001 for an Id that isn't known, or none, and 401/1004 for a wrong secret."""
    given = Credentials.from_header(head.headers.get("authorization", ""))
    if given is None or given.api_id != known.api_id:
        raise Refused(401, Code.ID_UNKNOWN, "The API Id is unknown.")
    if given != known:
        raise Refused(401, Code.SECRET_WRONG, "The API secret is wrong.")


@dataclass(frozen=True)
class Arrived:
    """A call whose head is in. at: Unix time."""

    n: int
    at: float


class Calls:
    """Answers calls. in_flight: how many it has at the moment; last: the number of the latest."""

    def __init__(self, settings: Settings, journal: Journal, chooser: Chooser, door: Door) -> None:
        self._settings = settings
        self._journal = journal
        self._chooser = chooser
        self._door = door
        self.in_flight = 0
        self.last = journal.last_call

    @property
    def balance_microcredits(self) -> int:
        return self._settings.opening_microcredits + self._journal.balance_microcredits

    async def answer(self, head: Head, wire: Wire) -> bool:
        """Takes a call whose head was read. Returns whether the connection goes on."""
        with self._arrived() as call:
            plan, upload = await self._received(call, self._planned(call, head), head, wire)
            fault, work = self._judged(plan, upload)
            self._note(call, fault, upload)
            await asyncio.sleep(fault.delay * self._settings.scale + (self._settings.delay if work else 0))
            self._charge(call, fault, work)
            self._afterwards(fault)
            answer = compose(fault, work, self._settings.result_bytes)
            goes_on = await send(answer, fault, wire, fault.pause * self._settings.scale)
            if goes_on and upload is None:
                await read_body(head, wire)
            return goes_on

    @contextmanager
    def _arrived(self) -> Iterator[Arrived]:
        self.last += 1
        self.in_flight += 1
        try:
            yield Arrived(self.last, time.time())
        finally:
            self.in_flight -= 1

    def _planned(self, call: Arrived, head: Head) -> Plan:
        """A call that isn't allowed in uses up no script, but it does have a number."""
        try:
            authenticate(head, self._settings.credentials)
            asked = asked_for(head.headers.get("x-fault", ""))
        except ApiError as error:
            return Plan(refusal(error), settled=True)
        except ValueError as error:
            return Plan(refusal(bad_parameter("X-Fault", str(error), "a fault")), settled=True)
        return self._chooser.plan(call.n, asked)

    async def _received(
        self, call: Arrived, plan: Plan, head: Head, wire: Wire
    ) -> tuple[Plan, Upload | None]:
        """The upload, None where it isn't waited for. One that breaks off leaves its line in the log."""
        if plan.fault.early:
            return plan, None
        try:
            return plan, read_upload(head, await read_body(head, wire))
        except ApiError as error:
            return Plan(replace(refusal(error), then=Then.RESET), settled=True), None
        except (ConnectionError, EOFError):
            self._note(call, BROKEN_OFF, None)
            raise

    def _judged(self, plan: Plan, upload: Upload | None) -> tuple[Fault, Work | None]:
        """The fault in the end, and the work that it takes."""
        if upload is None:
            return plan.fault, None
        fault = self._chooser.judge(plan, upload.sha256) if upload.sha256 else plan.fault
        try:
            return fault, self._work(upload) if fault.works else None
        except ApiError as error:
            return refusal(error), None

    def _work(self, upload: Upload) -> Work:
        picture, given = upload.picture(), self._settings
        price = given.microcredits
        if price is None:
            price = price_microcredits(picture.pixels, given.microcredits_per_megapixel)
        if upload.is_test:
            return Work(upload.sha256 or "", picture, 0, price)
        if price > self.balance_microcredits:
            raise Refused(402, OUT_OF_CREDITS, "The account is out of credits.")
        return Work(upload.sha256 or "", picture, price, None)

    def _note(self, call: Arrived, fault: Fault, upload: Upload | None) -> None:
        sha256, size = (upload.sha256, upload.bytes) if upload else (None, None)
        self._journal.write(Call(call.n, call.at, fault.name, fault.told_status, sha256, size))

    def _charge(self, call: Arrived, fault: Fault, work: Work | None) -> None:
        """After this the log holds the call and its charge, whatever happens to this machine."""
        if work and fault.charges:
            told = charge_headers(fault, work) if fault.told_status else []
            amount = work.charged_microcredits(fault)
            header = ", ".join(told) or None
            self._journal.write(Charge(call.n, time.time(), work.sha256, amount, header))
        self._journal.sync()

    def _afterwards(self, fault: Fault) -> None:
        """Before the answer leaves, so that whoever has it finds the door as it is to be."""
        self._door.resets += fault.resets
        if fault.refuses:
            self._door.close(fault.refuses * self._settings.scale)
