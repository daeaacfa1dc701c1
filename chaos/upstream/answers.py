"""A fault made into bytes, and those sent as far as the fault lets them."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass

from chaos.upstream.fault import CREDITS, Body, Fault, Sends, Then
from chaos.upstream.result import SIZE, result_for
from chaos.upstream.wire import Headers, Wire, head_of
from pixian.imaging.decode import Header
from pixian.protocol.credits import format_credits
from pixian.protocol.errors import ApiError

PAGE = b"<!doctype html><title>Oops</title><h1>Something is in between</h1>\n"
NOISE = b"220 mail ready\r\n\r\n"
PIECES = 4
MISSING_BYTES = 24
"""Of a body cut short: a PNG's closing chunk and the end of its pixels."""

LINGER_SECONDS = 0.02


@dataclass(frozen=True)
class Work:
    """What was done for a call. price_microcredits: what it costs when nothing goes wrong, 0 for a test.
    calculated_microcredits: what a test would have cost, None without ``test``."""

    sha256: str
    picture: Header
    price_microcredits: int
    calculated_microcredits: int | None

    def charged_microcredits(self, fault: Fault) -> int:
        return self.price_microcredits * fault.factor


@dataclass(frozen=True)
class Answer:
    head: bytes
    body: bytes


def json_answer(status: int, text: str) -> Answer:
    body = text.encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return Answer(head_of(status, headers), body)


def charge_headers(fault: Fault, work: Work | None) -> list[str]:
    """The texts of X-Credits-Charged that this answer tells."""
    amount = format_credits(work.charged_microcredits(fault)) if work else ""
    return [text.replace(CREDITS, amount) for text in fault.header]


def compose(fault: Fault, work: Work | None, result_bytes: int = 0) -> Answer:
    """The whole answer. ``work`` is there for each fault that ``works``."""
    if fault.body is Body.NOISE:
        return Answer(NOISE, b"")
    body, content_type = _body(fault, work, result_bytes)
    headers: Headers = [("Content-Type", fault.content_type or content_type)]
    headers += [("X-Credits-Charged", text) for text in charge_headers(fault, work)]
    headers += _told_of_the_picture(work) if work and fault.status == 200 else []
    headers += _told_by_status(fault)
    headers += [("Content-Length", str(len(body)))] if fault.length else [("Connection", "close")]
    return Answer(head_of(fault.status, headers), body)


def _body(fault: Fault, work: Work | None, result_bytes: int) -> tuple[bytes, str]:
    if fault.body is Body.PICTURE and work:
        return result_for(work.sha256, result_bytes), "image/png"
    if fault.body is Body.HTML:
        return PAGE, "text/html"
    if fault.body is Body.EMPTY:
        return b"", "text/plain"
    envelope = ApiError(fault.status, fault.code, fault.about).envelope()
    return json.dumps(envelope).encode(), "application/json"


def _told_of_the_picture(work: Work) -> Headers:
    headers = [
        ("X-Input-Size", f"{work.picture.width} {work.picture.height}"),
        ("X-Result-Size", "{} {}".format(*SIZE)),
        ("X-Input-Orientation", str(work.picture.orientation)),
    ]
    if work.calculated_microcredits is not None:
        headers.append(("X-Credits-Calculated", format_credits(work.calculated_microcredits)))
    return headers


def _told_by_status(fault: Fault) -> Headers:
    headers = [("Retry-After", fault.retry_after)] if fault.retry_after else []
    if fault.status == 401:
        headers.append(("WWW-Authenticate", 'Basic realm="pixian"'))
    if fault.location:
        headers.append(("Location", fault.location))
    return headers


async def send(answer: Answer, fault: Fault, wire: Wire, pause: float) -> bool:
    """Sends what the fault lets out and does with the connection what it says. Returns whether that goes
    on. ``pause``: seconds before each piece of a body sent slowly."""
    for piece in _pieces(answer, fault.sends):
        wire.writer.write(piece)
        await wire.writer.drain()
        if fault.sends is Sends.SLOWLY:
            await asyncio.sleep(pause)
    if fault.then is Then.SILENCE:
        await wire.hung_up()
    elif fault.then is Then.RESET:
        # What has left is meant to be read before the reset overtakes it.
        await asyncio.sleep(0 if fault.sends is Sends.NOTHING else LINGER_SECONDS)
        wire.reset()
    return fault.then is Then.KEEP and fault.length


def _pieces(answer: Answer, sends: Sends) -> Iterator[bytes]:
    head, body = answer.head, answer.body
    match sends:
        case Sends.NOTHING:
            pass
        case Sends.TORN_HEAD:
            yield head[: len(head) // 2]
        case Sends.HEAD:
            yield head
        case Sends.MOST:
            yield head + body[:-MISSING_BYTES]
        case Sends.SLOWLY:
            step = -(-len(body) // PIECES)
            yield head
            yield from (body[at : at + step] for at in range(0, len(body), step))
        case Sends.ALL:
            yield head + body
