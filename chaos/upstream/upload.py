"""What a call brings: the form's parts, and what its picture's header says."""

import hashlib
import io
import re
from dataclasses import dataclass

from chaos.upstream.wire import Head
from pixian.imaging.decode import Header, open_picture
from pixian.protocol.errors import Code, Refused, too_many_bytes
from pixian.protocol.limits import MAX_PROCESSED_PIXELS, MAX_UPLOAD_BYTES

BOUNDARY = re.compile(r'\bboundary="?([^";]+)"?', re.IGNORECASE)
NAME = re.compile(rb';\s*name="([^"]*)"', re.IGNORECASE)
FILE_NAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class Part:
    content: bytes
    is_file: bool


@dataclass(frozen=True)
class Upload:
    """sha256, bytes: of the image part; None where there is none."""

    parts: dict[str, Part]
    sha256: str | None
    bytes: int | None

    @property
    def is_test(self) -> bool:
        return "test" in self.parts and self.parts["test"].content.lower() == b"true"

    def picture(self) -> Header:
        """Raises Refused as the contract has it: no picture, one that came as text, an unreadable or too
        large one."""
        part = self.parts.get("image")
        if part is None:
            raise Refused(400, Code.NO_IMAGE, "There is no image parameter.")
        if not part.is_file:
            raise Refused(400, Code.IMAGE_AS_TEXT, "The picture came as text; send it as a file.")
        if len(part.content) > MAX_UPLOAD_BYTES:
            raise too_many_bytes(len(part.content), MAX_UPLOAD_BYTES)
        image, header = open_picture(io.BytesIO(part.content))
        image.close()
        return header


def read_upload(head: Head, body: bytes) -> Upload:
    parts = parse_form(head.headers.get("content-type", ""), body)
    image = parts.get("image")
    if image is None or not image.is_file:
        return Upload(parts, None, None)
    return Upload(parts, hashlib.sha256(image.content).hexdigest(), len(image.content))


def parse_form(content_type: str, body: bytes) -> dict[str, Part]:
    """The parts of multipart/form-data by their names; none where it isn't that."""
    found = BOUNDARY.search(content_type)
    if found is None:
        return {}
    mark = b"\r\n--" + found[1].encode("latin-1")
    parts = {}
    # The first boundary has no line before it, unless there is a preamble.
    at = body.find(mark[2:]) + len(mark) - 2
    while body[at : at + 2] == b"\r\n" and (end := body.find(mark, at)) >= 0:
        split = body.find(b"\r\n\r\n", at, end)
        about = body[at:split]
        if split >= 0 and (name := NAME.search(about)):
            parts[name[1].decode()] = Part(body[split + 4 : end], FILE_NAME.search(about) is not None)
        at = end + len(mark)
    return parts


def price_microcredits(pixels: int, microcredits_per_megapixel: int) -> int:
    """By the pixels that are processed, rounded up to a whole micro-credit."""
    return -(-min(pixels, MAX_PROCESSED_PIXELS) * microcredits_per_megapixel // MEGAPIXEL)
