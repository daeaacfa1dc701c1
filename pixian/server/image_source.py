"""Where the picture comes from: a file part, base64 text or an address; exactly one of them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Request

from pixian.protocol import base64_text, errors, file_names
from pixian.server.form import UploadRequest
from pixian.server.url_fetcher import Fetcher

MAX_BASE64_TEXT = 1 << 20
SOURCES = ("image", "image.base64", "image.url")


def read_source(request: UploadRequest, fields: dict[str, str], fetcher: Fetcher) -> BinaryIO:
    """Return the picture's file, which is closed with the request.

    Raises Refused 400/1005 for none, 400/1016 for text in a file's place, 400/1019 for several, and what
    the fetcher raises for an address.
    """
    files = files_of(request, "image")
    given = [*("image" for _ in files), *texts_of(request, fields, SOURCES)]
    if len(given) > 1:
        raise errors.bad_parameter("image", " and ".join(given), "one picture from one source")
    if files:
        return cast(BinaryIO, files[0].stream)
    match given:
        case ["image.base64"]:
            return from_base64(request, "image.base64", fields["image.base64"], MAX_BASE64_TEXT)
        case ["image.url"]:
            return from_url(request, fields["image.url"].strip(), fetcher)
        case ["image"]:
            raise errors.Refused(400, errors.Code.IMAGE_AS_TEXT, "image came as text; send a file.")
    names = ", ".join(SOURCES)
    raise errors.Refused(400, errors.Code.NO_IMAGE, f"There is no picture: send one of {names}.")


def files_of(request: Request, part: str) -> list[FileStorage]:
    """The pictures in file parts of this name. A browser sends a part without a file name, and without a
    byte, for a file field that was left empty."""
    return [file for file in request.files.getlist(part) if file.filename or file.stream.seek(0, os.SEEK_END)]


def texts_of(request: Request, fields: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Of these names those that came with a text, each as often as the body has it."""
    given = [name for name in names if fields.get(name, "").strip()]
    return [name for name in given for _ in range(max(1, _times(request, name)))]


def name_of(request: Request, fields: Mapping[str, str], part: str) -> str:
    """The picture's name, safe to store: its file's, or the last part of its address."""
    file = next(iter(files_of(request, part)), None)
    if file is not None:
        return file_names.clean(file.filename or "") or file_names.UNNAMED
    address = fields.get("image.url") or fields.get("image_url") or ""
    name = unquote(PurePosixPath(urlsplit(address.strip()).path).name)
    return file_names.clean(name) or file_names.UNNAMED


def from_base64(request: UploadRequest, name: str, text: str, longest: int) -> BinaryIO:
    """Write the decoded text to a file, without an optional ``data:`` prefix; raises Refused 400/1019."""
    if len(text) > longest:
        allowed = f"at most {longest:,} characters long; send larger pictures as a file"
        raise errors.bad_parameter(name, text, allowed)
    packed = text.partition(",")[2] if text.lstrip()[:5].lower() == "data:" else text
    try:
        content = base64_text.decode(packed)
    except ValueError as error:
        raise errors.bad_parameter(name, text, "a picture as base64, and this is no base64") from error
    file = cast(BinaryIO, request.open_file())
    file.write(content)
    return file


def from_url(request: UploadRequest, url: str, fetcher: Fetcher) -> BinaryIO:
    """Fetch a picture into a file; raises what the fetcher raises."""
    file = cast(BinaryIO, request.open_file())
    fetcher.fetch(url, file)
    return file


def _times(request: Request, name: str) -> int:
    return sum(bool(text.strip()) for text in request.form.getlist(name))
