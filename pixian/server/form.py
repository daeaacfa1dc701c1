"""What a call carries, read with bounds: the options and the picture."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, Self
from urllib.parse import parse_qsl
from wsgiref.types import WSGIEnvironment

import werkzeug.urls  # noqa: F401 - registers how a query's bytes that aren't UTF-8 are kept
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from pixian.protocol import errors, text
from pixian.protocol.limits import MAX_UPLOAD_BYTES
from pixian.server import multipart

MAX_TEXT_BYTES = 1 << 21
"""All texts together; the longest allowed one, image.base64, may have half of that."""

MAX_BODY_BYTES = MAX_UPLOAD_BYTES + MAX_TEXT_BYTES
"""The largest picture, all texts beside it, and the form around them."""

MAX_FIELDS = 100
CHUNK_BYTES = 1 << 16
MAX_MEMORY_BYTES = 500_000
ESCAPED_BYTES = 3
"""What a byte may take in an urlencoded form."""

PICTURES = ("image", "image.base64", "image.url", "image_file", "image_file_b64", "image_url")
"""The fields that name the picture, here and in the drop-in."""

FORMS = MULTIPART, URLENCODED = ("multipart/form-data", "application/x-www-form-urlencoded")


class FormParser(FormDataParser):
    """Reads forms to their end or says why it can't; werkzeug's takes a damaged one for an empty one."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,  # noqa: ARG002 - werkzeug passes it; the stream ends by itself
        options: dict[str, str] | None = None,
    ) -> Any:
        form = multipart.Form()
        longest = self.max_form_memory_size or MAX_TEXT_BYTES
        if mimetype == URLENCODED:
            form.fields = _urlencoded(stream, longest)
        elif mimetype == MULTIPART:
            boundary, opener = (options or {}).get("boundary", ""), self.stream_factory
            form = multipart.parse(stream, boundary, opener, max_text=longest, max_parts=MAX_FIELDS)
        return stream, self.cls(form.fields), self.cls(form.files)


OpenFile = Callable[[], IO[bytes]]


def open_temporary() -> IO[bytes]:
    """Open a file that stays in memory as long as it is small."""
    return tempfile.SpooledTemporaryFile(MAX_MEMORY_BYTES)


class UploadRequest(Request):
    """A request with bounds, whose pictures are written to files of the application's own choice."""

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
        """With the boundary as it stands, since clients leave out its quotes."""
        boundary = multipart.boundary_of(self.headers.get("Content-Type", ""))
        return super().mimetype_params | {"boundary": boundary}

    def _get_file_stream(self, *_args: Any, **_kwargs: Any) -> IO[bytes]:
        return self.open_file()

    def close(self) -> None:
        """Close all files. werkzeug itself closes only those of a form that was read to its end."""
        for file in self._files:
            file.close()


def read_form(request: Request) -> dict[str, str]:
    """The parameters, those of the query string included, where the body's win. Of a name that comes several
    times the first value counts that isn't blank.

    Reads the whole body. Raises Refused 413/1012 for too many bytes, 400/1019 for a form that can't be read,
    and 415 for what isn't a form.
    """
    length = request.content_length or 0
    if length > MAX_BODY_BYTES:
        raise errors.too_many_bytes(length, MAX_UPLOAD_BYTES)
    if (request.mimetype or length) and request.mimetype not in FORMS:
        raise _not_a_form(request.mimetype)
    if request.mimetype == MULTIPART and not request.mimetype_params["boundary"]:
        raise errors.bad_parameter("Content-Type", request.mimetype, f"{MULTIPART} with its boundary")
    try:
        fields = [*request.form.items(multi=True), *_pairs(request.query_string)]
    except RequestEntityTooLarge as error:
        raise _too_large_a_form() from error
    except multipart.MalformedError as error:
        raise errors.Refused(400, errors.Code.BAD_PARAMETER, f"The form can't be read: {error}.") from error
    for file in request.files.values():
        if (size := file.stream.seek(0, os.SEEK_END)) > MAX_UPLOAD_BYTES:
            raise errors.too_many_bytes(size, MAX_UPLOAD_BYTES)
    form = first_values(fields)
    refuse_unstorable(form)
    return form


def first_values(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return each name with its first value that isn't blank."""
    first: dict[str, str] = {}
    for name, value in fields:
        if not first.get(name, "").strip():
            first[name] = value
    return first


def _urlencoded(stream: IO[bytes], longest: int) -> list[tuple[str, str]]:
    body = stream.read(longest * ESCAPED_BYTES + 1)
    if len(body) > longest * ESCAPED_BYTES:
        raise RequestEntityTooLarge
    if body.startswith(b"--") and b"content-disposition:" in body[:CHUNK_BYTES].lower():
        raise multipart.MalformedError(f"its Content-Type is {URLENCODED}, and it is {MULTIPART}")
    pairs = _pairs(body)
    if sum(len(text) for _, text in pairs) > longest:
        raise RequestEntityTooLarge
    return pairs


def _pairs(text: bytes) -> list[tuple[str, str]]:
    """Parse an urlencoded text. Escaped bytes that aren't UTF-8 stay escaped, as an address needs them;
    others are replaced."""
    if text.count(b"&") >= MAX_FIELDS:
        raise RequestEntityTooLarge
    decoded = text.decode(errors="replace")
    return parse_qsl(decoded, keep_blank_values=True, errors="werkzeug.url_quote")


def refuse_unstorable(fields: Mapping[str, str]) -> None:
    """Raise Refused 400/1019 for a name or a value that no database can hold.

    Where the picture comes from is stored nowhere, and has errors of its own for what it can't be.
    """
    for name, value in fields.items():
        if name in PICTURES:
            continue
        if not text.is_storable(name):
            raise errors.bad_parameter("a parameter's name", name, text.ALLOWED)
        if not text.is_storable(value):
            raise errors.bad_parameter(name, value, text.ALLOWED)


def _not_a_form(mimetype: str) -> errors.Refused:
    """JSON is what clients try, so it is named as a bad parameter (§ 2); anything else is 415."""
    if mimetype == "application/json":
        return errors.bad_parameter("Content-Type", mimetype, " or ".join(FORMS))
    kind = mimetype or "of no Content-Type"
    return errors.Refused(415, 415, f"The body is {kind}; it must be {MULTIPART}.")


def _too_large_a_form() -> errors.Refused:
    return errors.Refused(
        413,
        errors.Code.TOO_MANY_BYTES,
        f"The form is too large: {MAX_UPLOAD_BYTES:,} bytes are allowed for the picture, "
        f"{MAX_TEXT_BYTES:,} for all texts together, in {MAX_FIELDS} fields.",
    )
