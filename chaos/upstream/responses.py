"""Turn a fault into bytes, and send as much of them as the fault lets out."""

import asyncio
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from chaos.upstream.faults import CREDITS, Body, Fault, Sends, Then
from chaos.upstream.wire import Headers, Wire, format_head
from pixian.protocol.credits import format_credits
from pixian.protocol.errors import ApiError

HTML = b"<!doctype html><title>Oops</title><h1>Something is in between</h1>\n"
NOISE = b"220 mail ready\r\n\r\n"
PIECES = 4
MISSING_BYTES = 24  # the part that a body cut short lacks: a PNG's closing chunk and the end of its pixels
LINGER_SECONDS = 0.02

SIZE = (4, 2)  # eight RGBA pixels, 32 bytes: the hash itself
CHUNK_FRAME_BYTES = 12


@dataclass(frozen=True)
class Work:
    """The work done for a call. microcredits: its charge, 0 for a test. headers: about the picture."""

    sha256: str
    microcredits: int
    headers: Headers = field(default_factory=list)


@lru_cache(maxsize=32)
def result_for(sha256: str, size: int = 0) -> bytes:
    """Return the cut-out of the picture with this hash: a real PNG that is a function of the hash alone.

    It is at least ``size`` bytes long, filled up by a private chunk that every reader skips.
    """
    info, file = PngInfo(), io.BytesIO()
    info.add_text("Source", sha256)
    if size and (missing := size - len(result_for(sha256))) > 0:
        info.add(b"paDd", bytes(max(0, missing - CHUNK_FRAME_BYTES)))
    Image.frombytes("RGBA", SIZE, bytes.fromhex(sha256)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def charge_headers(fault: Fault, work: Work | None) -> list[str]:
    """Return the texts of X-Credits-Charged that this response sends."""
    amount = format_credits(work.microcredits) if work else ""
    return [text.replace(CREDITS, amount) for text in fault.header]


def compose(fault: Fault, work: Work | None, result_bytes: int = 0) -> tuple[bytes, bytes]:
    """Return the whole response as head and body. ``work`` is needed for each fault that ``works``."""
    if fault.body is Body.NOISE:
        return NOISE, b""
    body, content_type = _body(fault, work, result_bytes)
    headers: Headers = [("Content-Type", fault.content_type or content_type)]
    headers += [("X-Credits-Charged", text) for text in charge_headers(fault, work)]
    headers += work.headers if work and fault.status == 200 else []
    headers += [("Retry-After", fault.retry_after)] if fault.retry_after else []
    headers += [("WWW-Authenticate", 'Basic realm="pixian"')] if fault.status == 401 else []
    headers += fault.headers
    headers += [("Content-Length", str(len(body)))] if fault.length else [("Connection", "close")]
    return format_head(fault.status, headers), body


def _body(fault: Fault, work: Work | None, result_bytes: int) -> tuple[bytes, str]:
    if fault.content is not None:
        return fault.content, "image/png"
    if fault.body is Body.PICTURE and work:
        return result_for(work.sha256, result_bytes), "image/png"
    if fault.body is Body.HTML:
        return HTML, "text/html"
    if fault.body is Body.EMPTY:
        return b"", "text/plain"
    envelope = ApiError(fault.status, fault.code, fault.about).envelope()
    return json.dumps(envelope).encode(), "application/json"


async def send(head: bytes, body: bytes, fault: Fault, wire: Wire, pause: float = 0) -> bool:
    """Send what the fault lets out, and do with the connection what it says; return if that goes on."""
    for piece in _pieces(head, body, fault.sends):
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


def _pieces(head: bytes, body: bytes, sends: Sends) -> Iterator[bytes]:
    match sends:
        case Sends.TORN_HEAD:
            yield head[: len(head) // 2]
        case Sends.HEAD:
            yield head
        case Sends.HALF:
            yield head + body[: len(body) // 2]
        case Sends.MOST:
            yield head + body[:-MISSING_BYTES]
        case Sends.SLOWLY:
            step = -(-len(body) // PIECES)
            yield head
            yield from (body[at : at + step] for at in range(0, len(body), step))
        case Sends.ALL:
            yield head + body
