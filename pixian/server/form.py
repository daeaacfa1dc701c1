"""Form parsing with limits: the fields and files of a call, whichever way a client encodes them."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, Self
from urllib.parse import parse_qsl
from wsgiref.types import WSGIEnvironment

import werkzeug.urls  # noqa: F401 - registers the error handler that ``_pairs`` decodes with
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from pixian.protocol import errors, text
from pixian.protocol.limits import MAX_UPLOAD_BYTES
from pixian.server import multipart

MAX_TEXT_BYTES = 1 << 21
"""Limit on all text fields together: twice the longest one allowed, ``image.base64``."""

MAX_BODY_BYTES = MAX_UPLOAD_BYTES + MAX_TEXT_BYTES
"""Room for the largest picture, the text fields and the multipart syntax around them."""

MAX_FIELDS = 100
CHUNK_BYTES = 1 << 16
MAX_MEMORY_BYTES = 500_000
ESCAPED_BYTES = 3
"""The length of a percent-escape: an urlencoded form can be this many times as long as its content."""

PICTURES = ("image", "image.base64", "image.url", "image_file", "image_file_b64", "image_url")
"""The fields that carry the picture, in the contract and in the remove.bg drop-in."""

FORMS = MULTIPART, URLENCODED = ("multipart/form-data", "application/x-www-form-urlencoded")


class FormParser(FormDataParser):
    """A parser that raises MalformedError for a damaged form; werkzeug's would take it for an empty one."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,  # noqa: ARG002 - werkzeug passes it; the stream ends by itself
        options: dict[str, str] | None = None,
    ) -> Any:
        """Return the stream, the fields and the files, as werkzeug's method does."""
        form = multipart.Form()
        max_text = self.max_form_memory_size or MAX_TEXT_BYTES
        if mimetype == URLENCODED:
            form.fields = _urlencoded(stream, max_text)
        elif mimetype == MULTIPART:
            boundary, opener = (options or {}).get("boundary", ""), self.stream_factory
            form = multipart.parse(stream, boundary, opener, max_text=max_text, max_parts=MAX_FIELDS)
        return stream, self.cls(form.fields), self.cls(form.files)


OpenFile = Callable[[], IO[bytes]]


def open_temporary() -> IO[bytes]:
    """Open a file that stays in memory as long as it is small."""
    return tempfile.SpooledTemporaryFile(MAX_MEMORY_BYTES)


class UploadRequest(Request):
    """A request with limits, whose pictures are written to files of the application's own choice."""

    form_data_parser_class = FormParser
    max_content_length = MAX_BODY_BYTES
    max_form_memory_size = MAX_TEXT_BYTES

    def __init__(self, environ: WSGIEnvironment, open_file: OpenFile = open_temporary) -> None:
        super().__init__(environ)
        self._open_file = open_file
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def open_file(self) -> IO[bytes]:
        """Open a file for a picture; it is closed with the request."""
        self._files.append(self._open_file())
        return self._files[-1]

    @property
    def mimetype_params(self) -> dict[str, str]:
        """Return the parameters of Content-Type, with a boundary that clients didn't quote as they should."""
        boundary = multipart.boundary_of(self.headers.get("Content-Type", ""))
        return super().mimetype_params | {"boundary": boundary}

    def _get_file_stream(self, *_args: Any, **_kwargs: Any) -> IO[bytes]:
        return self.open_file()

    def close(self) -> None:
        """Close all files; werkzeug closes only those of a form that was parsed to its end."""
        for file in self._files:
            file.close()


def read_form(request: Request) -> dict[str, str]:
    """Return the parameters of the body and the query string; the body wins.

    If a name has several values, the first one that isn't blank counts. Reads the whole body. Raises Refused
    413/1012 for too many bytes, 400/1019 for a form that can't be parsed, and 415 for any other body.
    """
    length = request.content_length or 0
    if length > MAX_BODY_BYTES:
        raise errors.too_many_bytes(length, MAX_UPLOAD_BYTES)
    if (request.mimetype or length) and request.mimetype not in FORMS:
        raise _not_a_form(request.mimetype)
    if request.mimetype == MULTIPART and not request.mimetype_params["boundary"]:
        raise errors.bad_parameter("Content-Type", request.mimetype, f"{MULTIPART} with a boundary")
    try:
        fields = [*request.form.items(multi=True), *_pairs(request.query_string)]
    except RequestEntityTooLarge as error:
        raise _form_too_large() from error
    except multipart.MalformedError as error:
        raise errors.Refused(400, errors.Code.BAD_PARAMETER, f"The form can't be parsed: {error}.") from error
    for file in request.files.values():
        if (size := file.stream.seek(0, os.SEEK_END)) > MAX_UPLOAD_BYTES:
            raise errors.too_many_bytes(size, MAX_UPLOAD_BYTES)
    form = first_values(fields)
    refuse_unstorable(form)
    return form


def first_values(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the first value of each name that isn't blank."""
    first: dict[str, str] = {}
    for name, value in fields:
        if not first.get(name, "").strip():
            first[name] = value
    return first


def _urlencoded(stream: IO[bytes], max_text: int) -> list[tuple[str, str]]:
    body = stream.read(max_text * ESCAPED_BYTES + 1)
    if len(body) > max_text * ESCAPED_BYTES:
        raise RequestEntityTooLarge
    if body.startswith(b"--") and b"content-disposition:" in body[:CHUNK_BYTES].lower():
        raise multipart.MalformedError(f"the Content-Type is {URLENCODED}, but the body is {MULTIPART}")
    pairs = _pairs(body)
    if sum(len(text) for _, text in pairs) > max_text:
        raise RequestEntityTooLarge
    return pairs


def _pairs(text: bytes) -> list[tuple[str, str]]:
    """Parse urlencoded text; raise RequestEntityTooLarge for too many fields."""
    if text.count(b"&") >= MAX_FIELDS:
        raise RequestEntityTooLarge
    decoded = text.decode(errors="replace")
    # Percent-escapes that aren't UTF-8 stay as they are: an image.url may depend on them.
    return parse_qsl(decoded, keep_blank_values=True, errors="werkzeug.url_quote")


def refuse_unstorable(fields: Mapping[str, str]) -> None:
    """Raise Refused 400/1019 for a name or value that the database can't store."""
    for name, value in fields.items():
        # The picture's source isn't stored, and its own checks have more specific errors.
        if name in PICTURES:
            continue
        if not text.is_storable(name):
            raise errors.bad_parameter("A parameter's name", name, text.ALLOWED)
        if not text.is_storable(value):
            raise errors.bad_parameter(name, value, text.ALLOWED)


def _not_a_form(mimetype: str) -> errors.Refused:
    # The contract has a code for JSON (§ 2), which clients are likely to try; anything else is a plain 415.
    if mimetype == "application/json":
        return errors.bad_parameter("Content-Type", mimetype, " or ".join(FORMS))
    problem = f"The body's Content-Type is {mimetype}" if mimetype else "The body has no Content-Type"
    return errors.Refused(415, 415, f"{problem}; it must be {MULTIPART}.")


def _form_too_large() -> errors.Refused:
    return errors.Refused(
        413,
        errors.Code.TOO_MANY_BYTES,
        f"The form is too large. The limits are {MAX_UPLOAD_BYTES:,} bytes for the image, "
        f"{MAX_TEXT_BYTES:,} bytes for all text fields together, and {MAX_FIELDS} fields.",
    )
