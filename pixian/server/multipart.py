"""Multipart forms as clients write them: werkzeug's decoder, with headers in whichever bytes.

RFC 7578 asks for UTF-8; old clients send file names in the bytes of their own system. Only the name may
suffer from that, never the picture behind it or the fields beside it.
"""

import base64
import binascii
import quopri
import re
from collections.abc import Callable, Iterator
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
"""Opens the file that a part's bytes are written to; takes what werkzeug's stream factories take."""


class MalformedError(ValueError):
    """A form that can't be read to its end; says why."""


@dataclass
class Form:
    """What a form carries, in its order."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[tuple[str, FileStorage]] = field(default_factory=list)


def boundary_of(content_type: str) -> str:
    """Return the boundary, quoted or not, also where it has letters that should have been quoted."""
    found = BOUNDARY.search(content_type)
    return (found[1] if found[1] is not None else found[2]) if found else ""


def parse(stream: IO[bytes], boundary: str, open_file: OpenFile, *, max_text: int, max_parts: int) -> Form:
    """Read a form; raises MalformedError, and RequestEntityTooLarge where all its texts together have more
    than ``max_text`` bytes or it has too many parts. Parts without a name are left out."""
    form, text = Form(), 0
    decoder = Decoder(boundary.encode("latin-1", "replace"), max_text, max_parts=max_parts)
    part: Field | File | None = None
    target: Any = None
    for event in _events(decoder, stream):
        match event:
            case Field() | File():
                part, target = event, _target(event, open_file)
            case Data():
                text += 0 if isinstance(part, File) else len(event.data)
                if text > max_text:
                    raise RequestEntityTooLarge
                target.write(event.data)
                if part is not None and not event.more_data:
                    _finish(form, part, target, open_file)
    return form


class Decoder(MultipartDecoder):
    """Decode as werkzeug does, which gives a whole form up for one byte in a header that isn't UTF-8."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        headers = super()._parse_headers(data.decode(errors="replace").encode())
        headers[DISPOSITION] = _disposition(headers.get(DISPOSITION, ""))
        return headers


class _Text:
    """A text field's bytes."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.write = self.chunks.append


def _events(decoder: Decoder, stream: IO[bytes]) -> Iterator[object]:
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
        raise MalformedError("it ends before its last boundary, or its boundaries are other ones") from error


def _disposition(header: str) -> str:
    """Mend a header that werkzeug finds no name or no file name in: one that ends in a backslash, which some
    letters of Shift-JIS do, isn't quoted, or has spaces around its equals sign."""
    # A backslash escapes a quote or itself; any other is a path's, which werkzeug would take out.
    _, told = parse_options_header(PAIR.sub(lambda pair: pair[0] if pair[1] else r"\\", header))
    if extended := EXTENDED.search(header):  # counts before the plain one, in either order
        told |= parse_options_header(f"form-data; {extended[1]}")[1]
    lenient = {found[1].lower(): found[2] or (found[3] or "").strip() for found in PARAMETER.finditer(header)}
    names = {key: told.get(key, lenient.get(key)) for key in ("name", "filename")}
    return dump_options_header("form-data", names)


def _target(part: Field | File, open_file: OpenFile) -> Any:
    if isinstance(part, Field):
        return _Text()
    kind, name = part.headers.get("Content-Type"), part.filename
    return open_file(total_content_length=None, content_type=kind, filename=name, content_length=None)


def _finish(form: Form, part: Field | File, target: Any, open_file: OpenFile) -> None:
    if not part.name:
        return
    encoding = part.headers.get("Content-Transfer-Encoding", "").strip().lower()
    if isinstance(part, Field):
        form.fields.append((part.name, _text(part, b"".join(target.chunks), encoding)))
        return
    target.seek(0)
    if encoding in ("base64", "quoted-printable"):
        target = _decoded(target, encoding, _target(part, open_file))
    form.files.append((part.name, FileStorage(target, part.filename, part.name, headers=part.headers)))


def _text(part: Field, data: bytes, encoding: str) -> str:
    _, told = parse_options_header(part.headers.get("Content-Type"))
    charset = told.get("charset", "").lower()
    if encoding == "quoted-printable":
        data = quopri.decodestring(data)
    elif encoding == "base64":
        data = _plain(data)
    return data.decode(charset if charset in CHARSETS else "utf-8", "replace")


def _plain(data: bytes) -> bytes:
    """Return a text's decoded bytes, or the text itself where it isn't base64 of a text: some clients
    announce the picture's own encoding that way."""
    try:
        decoded = base64_text.decode(data.decode())
        decoded.decode()
    except ValueError:
        return data
    return decoded


def _decoded(source: IO[bytes], encoding: str, target: IO[bytes]) -> IO[bytes]:
    """Undo a file's transfer encoding (RFC 2045)."""
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
            raise MalformedError("a part says that it is base64, and isn't") from error
    target.seek(0)
    return target
