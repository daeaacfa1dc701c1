"""What a call of the drop-in carries: a form or a JSON object, and exactly one picture."""

import json
from typing import BinaryIO, cast

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from pixian.protocol import errors
from pixian.protocol.credentials import Credentials
from pixian.protocol.errors import Code, Refused
from pixian.removebg.errors import SeveralSources
from pixian.removebg.options import JSON, SOURCES, present
from pixian.server import image_source
from pixian.server.form import UploadRequest, read_form, refuse_unstorable
from pixian.server.url_fetcher import Fetcher

MAX_TEXT_BYTES = 1 << 24
"""Of a form's texts, or of a JSON body: pictures come as base64 here, up to some 12 MB of them."""


class DropInRequest(UploadRequest):
    max_form_memory_size = MAX_TEXT_BYTES


def credentials_of(request: Request) -> Credentials | None:
    """The key in ``X-Api-Key``, or in ``Authorization`` as everywhere else."""
    key = request.headers.get("X-Api-Key", "").strip()
    return Credentials.from_header(f"Basic {key}" if key else request.headers.get("Authorization", ""))


def read_fields(request: Request) -> dict[str, str]:
    """The parameters as texts; reads the whole body. Raises Refused 400/1019, 413/1012 and 415."""
    if request.mimetype != JSON:
        return read_form(request)
    try:
        given = json.loads(_body(request) or b"{}")
    except (ValueError, RecursionError) as error:
        raise errors.bad_parameter("body", "no JSON", "a form or a JSON object") from error
    if not isinstance(given, dict):
        raise errors.bad_parameter("body", type(given).__name__, "a form or a JSON object")
    fields = {name: _text(value) for name, value in given.items() if value is not None}
    refuse_unstorable(fields)
    return fields


def read_source(request: UploadRequest, fields: dict[str, str], fetcher: Fetcher) -> BinaryIO:
    """Return the picture's file, which is closed with the request.

    Raises Refused 400/1005 for none, 400/1019 for several, and what ``pixian.server.image_source`` raises.
    """
    files = image_source.files_of(request, SOURCES[0])
    given = present({name: fields.get(name, "") for name in SOURCES})
    if len(files) + len(image_source.texts_of(request, given, given)) > 1:
        raise SeveralSources
    if files:
        return cast("BinaryIO", files[0].stream)
    match list(given):
        case ["image_file_b64"]:
            return image_source.from_base64(
                request, "image_file_b64", given["image_file_b64"], MAX_TEXT_BYTES
            )
        case ["image_url"]:
            return image_source.from_url(request, given["image_url"], fetcher)
        case ["image_file"]:
            raise Refused(400, Code.IMAGE_AS_TEXT, "image_file came as text; send a file.")
    raise Refused(400, Code.NO_IMAGE, f"There is no picture: send one of {', '.join(SOURCES)}.")


def _body(request: Request) -> bytes:
    """Bounded where its length isn't told, too: werkzeug then cuts it off without a word."""
    request.max_content_length = MAX_TEXT_BYTES + 1
    try:
        body = request.get_data()
    except RequestEntityTooLarge as error:
        raise _too_large() from error
    if len(body) > MAX_TEXT_BYTES:
        raise _too_large()
    return body


def _too_large() -> Refused:
    message = f"The JSON has more than the {MAX_TEXT_BYTES:,} bytes allowed; send larger pictures as a file."
    return Refused(413, Code.TOO_MANY_BYTES, message)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
