"""The source of a call's picture: exactly one of a file part, base64 text or a URL."""

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

    Raises Refused 400/1005 for no picture, 400/1016 for text instead of a file, 400/1019 for several, and as
    the fetcher does for a URL.
    """
    files = files_of(request, "image")
    sources = [*("image" for _ in files), *repeated_names(request, fields, SOURCES)]
    if len(sources) > 1:
        raise errors.bad_parameter("image", " and ".join(sources), "exactly one image from one source")
    if files:
        return cast(BinaryIO, files[0].stream)
    match sources:
        case ["image.base64"]:
            return from_base64(request, "image.base64", fields["image.base64"], MAX_BASE64_TEXT)
        case ["image.url"]:
            return from_url(request, fields["image.url"].strip(), fetcher)
        case ["image"]:
            raise errors.Refused(
                400, errors.Code.IMAGE_AS_TEXT, "image was sent as text; send it as a file part."
            )
    names = ", ".join(SOURCES)
    raise errors.Refused(400, errors.Code.NO_IMAGE, f"The request has no image: send one of {names}.")


def files_of(request: Request, part: str) -> list[FileStorage]:
    """Return the uploaded files of this name."""
    # For a file field that was left empty, a browser sends a part without a file name or content.
    return [file for file in request.files.getlist(part) if file.filename or file.stream.seek(0, os.SEEK_END)]


def repeated_names(request: Request, fields: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return the names that have a value, each as many times as the body has it (once for the query's)."""
    present = [name for name in names if fields.get(name, "").strip()]
    counts = [sum(bool(text.strip()) for text in request.form.getlist(name)) for name in present]
    return [name for name, count in zip(present, counts, strict=True) for _ in range(max(1, count))]


def name_of(request: Request, fields: Mapping[str, str], part: str) -> str:
    """Return the picture's name, safe to store: its file's, or the last part of its URL's path."""
    file = next(iter(files_of(request, part)), None)
    if file is not None:
        return file_names.clean(file.filename or "") or file_names.UNNAMED
    address = fields.get("image.url") or fields.get("image_url") or ""
    name = unquote(PurePosixPath(urlsplit(address.strip()).path).name)
    return file_names.clean(name) or file_names.UNNAMED


def from_base64(request: UploadRequest, name: str, text: str, max_length: int) -> BinaryIO:
    """Write the decoded text to a file, after removing a ``data:`` prefix; raise Refused 400/1019."""
    if len(text) > max_length:
        allowed = f"at most {max_length:,} characters long; send a larger image as a file"
        raise errors.bad_parameter(name, text, allowed)
    encoded = text.partition(",")[2] if text.lstrip()[:5].lower() == "data:" else text
    try:
        content = base64_text.decode(encoded)
    except ValueError as error:
        raise errors.bad_parameter(name, text, "an image in valid base64") from error
    file = cast(BinaryIO, request.open_file())
    file.write(content)
    return file


def from_url(request: UploadRequest, url: str, fetcher: Fetcher) -> BinaryIO:
    """Download a URL into a file and return it; raise as ``Fetcher.fetch`` does."""
    file = cast(BinaryIO, request.open_file())
    fetcher.fetch(url, file)
    return file
