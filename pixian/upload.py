"""What a call carries, read with bounds: the options and the picture."""

import os
from collections.abc import Mapping
from typing import IO, Any
from wsgiref.types import WSGIEnvironment

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from pixian import errors, text
from pixian.limits import MAX_UPLOAD_BYTES

MAX_TEXT_BYTES = 1 << 21
"""All texts together; the longest allowed one, image.base64, may have half of that."""

MAX_BODY_BYTES = MAX_UPLOAD_BYTES + MAX_TEXT_BYTES
"""The largest picture, all texts beside it, and the form around them."""

CHUNK_BYTES = 1 << 16
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class UploadRequest(Request):
    """A request with bounds. werkzeug keeps files of more than half a megabyte on disk while it reads."""

    max_content_length = MAX_BODY_BYTES
    max_form_memory_size = MAX_TEXT_BYTES
    max_form_parts = 100

    def __init__(self, environ: WSGIEnvironment) -> None:
        super().__init__(environ)
        self._streams: list[IO[bytes]] = []

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        self._streams.append(super()._get_file_stream(*args, **kwargs))
        return self._streams[-1]

    def close(self) -> None:
        """werkzeug itself closes only the files of a form that was read to its end."""
        for stream in self._streams:
            stream.close()


def read_form(request: Request) -> dict[str, str]:
    """The parameters, those of the query string included, where the body's win.

    Reads the whole body. Raises Refused 413/1012 for too many bytes, and 415 for what isn't a form.
    """
    length = request.content_length or 0
    if length > MAX_BODY_BYTES:
        raise errors.too_many_bytes(length, MAX_UPLOAD_BYTES)
    if request.mimetype and request.mimetype not in FORMS:
        raise _not_a_form(request.mimetype)
    try:
        fields = request.args.to_dict() | request.form.to_dict()
    except RequestEntityTooLarge as error:
        raise _too_large_a_form() from error
    for file in request.files.values():
        if (size := file.stream.seek(0, os.SEEK_END)) > MAX_UPLOAD_BYTES:
            raise errors.too_many_bytes(size, MAX_UPLOAD_BYTES)
    refuse_unstorable(fields)
    return fields


def refuse_unstorable(fields: Mapping[str, str]) -> None:
    """Raise Refused 400/1019 for a name or a value that no database can hold."""
    for name, value in fields.items():
        if not text.is_storable(name):
            raise errors.bad_parameter("a parameter's name", name, text.ALLOWED)
        if not text.is_storable(value):
            raise errors.bad_parameter(name, value, text.ALLOWED)


def _not_a_form(mimetype: str) -> errors.Refused:
    """JSON is what clients try, so it is named as a bad parameter (§ 2); anything else is 415."""
    if mimetype == "application/json":
        return errors.bad_parameter("Content-Type", mimetype, " or ".join(FORMS))
    return errors.Refused(415, 415, f"The body is {mimetype}; it must be {FORMS[0]}.")


def drain(request: Request) -> None:
    """Reads what is left of a body that wasn't wanted, as far as any allowed one goes.

    A caller who is still sending would otherwise see a broken connection instead of the answer.
    """
    ends_by_itself = request.environ.get("wsgi.input_terminated", False)
    left = request.content_length or (MAX_BODY_BYTES if ends_by_itself else 0)
    if left > MAX_BODY_BYTES:
        return
    stream = request.environ["wsgi.input"]
    while left > 0 and (chunk := stream.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)


def _too_large_a_form() -> errors.Refused:
    return errors.Refused(
        413,
        errors.Code.TOO_MANY_BYTES,
        f"The form is too large: {MAX_UPLOAD_BYTES:,} bytes are allowed for the picture, "
        f"{MAX_TEXT_BYTES:,} for all texts together.",
    )
