"""The request of a drop-in call: a form or a JSON object, with exactly one picture."""

import json
from typing import BinaryIO, cast

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from pixian.protocol import errors
from pixian.protocol.credentials import Credentials
from pixian.protocol.errors import Code, Refused
from pixian.removebg.errors import SeveralSources
from pixian.removebg.options import JSON, SOURCES, drop_empty
from pixian.server import image_source
from pixian.server.form import UploadRequest, read_form, refuse_unstorable
from pixian.server.url_fetcher import Fetcher

MAX_TEXT_BYTES = 1 << 24
"""Limit on a form's texts together, or on a JSON body. Allows a picture of about 12 MB as base64."""


class DropInRequest(UploadRequest):
    max_form_memory_size = MAX_TEXT_BYTES


def credentials_of(request: Request) -> Credentials | None:
    """Return the credentials in ``X-Api-Key``, or else in ``Authorization``; None if there are none."""
    key = request.headers.get("X-Api-Key", "").strip()
    return Credentials.from_header(f"Basic {key}" if key else request.headers.get("Authorization", ""))


def read_fields(request: Request) -> dict[str, str]:
    """Return the parameters as texts; reads the whole body. Raises Refused 400/1019, 413/1012 and 415."""
    if request.mimetype != JSON:
        return read_form(request)
    try:
        body = json.loads(_read_body(request) or b"{}")
    except (ValueError, RecursionError) as error:
        raise errors.bad_parameter("body", "not valid JSON", "a form or a JSON object") from error
    if not isinstance(body, dict):
        raise errors.bad_parameter("body", type(body).__name__, "a form or a JSON object")
    fields = {name: _text(value) for name, value in body.items() if value is not None}
    refuse_unstorable(fields)
    return fields


def read_source(request: UploadRequest, fields: dict[str, str], fetcher: Fetcher) -> BinaryIO:
    """Return the picture's file, which is closed with the request.

    Raises Refused 400/1005 for none, SeveralSources, and as ``pixian.server.image_source`` does.
    """
    files = image_source.files_of(request, SOURCES[0])
    texts = drop_empty({name: fields.get(name, "") for name in SOURCES})
    if len(files) + len(image_source.repeated_names(request, texts, texts)) > 1:
        raise SeveralSources
    if files:
        return cast("BinaryIO", files[0].stream)
    match list(texts):
        case ["image_file_b64"]:
            return image_source.from_base64(
                request, "image_file_b64", texts["image_file_b64"], MAX_TEXT_BYTES
            )
        case ["image_url"]:
            return image_source.from_url(request, texts["image_url"], fetcher)
        case ["image_file"]:
            raise Refused(400, Code.IMAGE_AS_TEXT, "image_file was sent as text; send it as a file part.")
    raise Refused(400, Code.NO_IMAGE, f"The request has no image: send one of {', '.join(SOURCES)}.")


def _read_body(request: Request) -> bytes:
    """Return the body; raise Refused 413/1012 if it is too long."""
    # One byte more than allowed: werkzeug silently truncates a body without a Content-Length at this limit.
    request.max_content_length = MAX_TEXT_BYTES + 1
    try:
        body = request.get_data()
    except RequestEntityTooLarge as error:
        raise _too_large() from error
    if len(body) > MAX_TEXT_BYTES:
        raise _too_large()
    return body


def _too_large() -> Refused:
    message = f"The JSON is larger than the limit of {MAX_TEXT_BYTES:,} bytes; send a larger image as a file."
    return Refused(413, Code.TOO_MANY_BYTES, message)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
