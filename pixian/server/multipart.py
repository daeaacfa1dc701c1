"""A lenient multipart parser: werkzeug's decoder, made to accept part headers in any encoding.

RFC 7578 asks for UTF-8, but old clients send file names in their system's encoding. That may cost the file
its name, but never the picture or the other fields.
"""

import base64
import binascii
import quopri
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from werkzeug.datastructures import FileStorage, Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import dump_options_header, parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from pixian.protocol import base64_text

CHUNK_BYTES = 1 << 16
DISPOSITION = "Content-Disposition"
CHARSETS = ("utf-8", "us-ascii", "iso-8859-1")

BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]*)"?|([^;,\s]*))', re.IGNORECASE)
PARAMETER = re.compile(r';\s*(name|filename)\s*=\s*(?:"([^"]*)"?|([^;]*))', re.IGNORECASE)

EXTENDED = re.compile(r";\s*(filename\*=[^;]*)", re.IGNORECASE)
PAIR = re.compile(r'\\(["\\])?')

OpenFile = Callable[..., IO[bytes]]
"""Opens a file for a part's content; has the signature of werkzeug's stream factories."""


class MalformedError(ValueError):
    """A form that can't be parsed to its end; the message says why."""


@dataclass
class Form:
    """A form's fields and files as (name, value), in their order in the body."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[tuple[str, FileStorage]] = field(default_factory=list)


def boundary_of(content_type: str) -> str:
    """Return the boundary in a Content-Type, quoted or not, even if it has characters that need quotes."""
    match = BOUNDARY.search(content_type)
    return (match[1] if match[1] is not None else match[2]) if match else ""


def parse(stream: IO[bytes], boundary: str, open_file: OpenFile, *, max_text: int, max_parts: int) -> Form:
    """Parse a form; parts without a name are skipped.

    max_text: limit on the bytes of all text fields together. Raises MalformedError, and
    RequestEntityTooLarge for too much text or too many parts.
    """
    form, text_bytes = Form(), 0
    decoder = Decoder(boundary.encode("latin-1", "replace"), max_text, max_parts=max_parts)
    part: Field | File | None = None
    target: Any = None
    for event in _events(decoder, stream):
        match event:
            case Field() | File():
                part, target = event, _open_target(event, open_file)
            case Data():
                text_bytes += 0 if isinstance(part, File) else len(event.data)
                if text_bytes > max_text:
                    raise RequestEntityTooLarge
                target.write(event.data)
                if part is not None and not event.more_data:
                    _add_part(form, part, target, open_file)
    return form


class Decoder(MultipartDecoder):
    """werkzeug's decoder, which by itself rejects the whole form for one header byte that isn't UTF-8."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        headers = super()._parse_headers(data.decode(errors="replace").encode())
        headers[DISPOSITION] = _disposition(headers.get(DISPOSITION, ""))
        return headers


class _Text:
    """The content of a text field, in memory."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.write = self.chunks.append


def _events(decoder: Decoder, stream: IO[bytes]) -> Iterator[object]:
    """Yield the decoder's events up to the epilogue; none for an empty body, a form without parts."""
    empty = True
    try:
        while True:
            chunk = stream.read(CHUNK_BYTES)
            if not chunk and empty:
                return
            empty = False
            decoder.receive_data(chunk or None)
            while not isinstance(event := decoder.next_event(), NeedData):
                if isinstance(event, Epilogue):
                    return
                yield event
    except ValueError as error:
        raise MalformedError("it is cut off, or its boundary isn't the one in Content-Type") from error


def _disposition(header: str) -> str:
    r"""Return a Content-Disposition in the strict form that werkzeug understands.

    It would miss a name or file name that ends in a backslash (as the second byte of a Shift-JIS character
    can be), isn't quoted, or has spaces around its equals sign.
    """
    # A backslash before a quote or another backslash is an escape. Any other belongs to a Windows path and
    # is doubled, or werkzeug would drop it.
    _, strict = parse_options_header(PAIR.sub(lambda pair: pair[0] if pair[1] else r"\\", header))
    # filename* has precedence over filename in either order (RFC 6266).
    if extended := EXTENDED.search(header):
        strict |= parse_options_header(f"form-data; {extended[1]}")[1]
    lenient = {match[1].lower(): match[2] or (match[3] or "").strip() for match in PARAMETER.finditer(header)}
    names = {key: strict.get(key, lenient.get(key)) for key in ("name", "filename")}
    return dump_options_header("form-data", names)


def _open_target(part: Field | File, open_file: OpenFile) -> Any:
    if isinstance(part, Field):
        return _Text()
    content_type, name = part.headers.get("Content-Type"), part.filename
    return open_file(total_content_length=None, content_type=content_type, filename=name, content_length=None)


def _add_part(form: Form, part: Field | File, target: Any, open_file: OpenFile) -> None:
    if not part.name:
        return
    encoding = part.headers.get("Content-Transfer-Encoding", "").strip().lower()
    if isinstance(part, Field):
        form.fields.append((part.name, _field_text(part, b"".join(target.chunks), encoding)))
        return
    target.seek(0)
    if encoding in ("base64", "quoted-printable"):
        target = _decode_file(target, encoding, _open_target(part, open_file))
    form.files.append((part.name, FileStorage(target, part.filename, part.name, headers=part.headers)))


def _field_text(part: Field, data: bytes, encoding: str) -> str:
    _, parameters = parse_options_header(part.headers.get("Content-Type"))
    charset = parameters.get("charset", "").lower()
    if encoding == "quoted-printable":
        data = quopri.decodestring(data)
    elif encoding == "base64":
        # Some clients declare this for image.base64, whose text is base64 anyway. So the field stays as it
        # is unless it decodes to a text.
        with suppress(ValueError):
            decoded = base64_text.decode(data.decode())
            decoded.decode()
            data = decoded
    return data.decode(charset if charset in CHARSETS else "utf-8", "replace")


def _decode_file(source: IO[bytes], encoding: str, target: IO[bytes]) -> IO[bytes]:
    """Decode a file's Content-Transfer-Encoding (RFC 2045) into ``target``; raise MalformedError."""
    if encoding == "quoted-printable":
        quopri.decode(source, target)
    else:
        rest = b""
        try:
            while chunk := source.read(CHUNK_BYTES):
                letters = rest + b"".join(chunk.split())
                whole = len(letters) // 4 * 4
                rest = letters[whole:]
                target.write(base64.b64decode(letters[:whole], validate=True))
            target.write(base64.b64decode(rest + b"=" * (-len(rest) % 4), validate=True))
        except binascii.Error as error:
            raise MalformedError("a part is declared as base64 but isn't valid base64") from error
    target.seek(0)
    return target
