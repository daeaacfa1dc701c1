"""Where the picture comes from: a file part, base64 text or an address; exactly one of them."""

import base64
import binascii
import io
import tempfile
from typing import BinaryIO, cast

from werkzeug.wrappers import Request

from pixian import errors
from pixian.fetch import Fetcher

MAX_BASE64_TEXT = 1 << 20
SOURCES = ("image", "image.base64", "image.url")


def read_source(request: Request, fields: dict[str, str], fetcher: Fetcher) -> BinaryIO:
    """The picture's file, to be closed by the caller.

    Raises Refused 400/1005 for none, 400/1016 for text in a file's place, 400/1019 for several, and what
    the fetcher raises for an address.
    """
    # A browser sends an empty part without a name for a file field that was left empty.
    files = [file for file in request.files.getlist("image") if file.filename]
    given = [*("image" for _ in files), *(name for name in SOURCES if fields.get(name, "").strip())]
    if len(given) > 1:
        raise errors.bad_parameter("image", " and ".join(given), "one picture from one source")
    if files:
        return cast(BinaryIO, files[0].stream)
    match given:
        case ["image.base64"]:
            return from_base64("image.base64", fields["image.base64"], MAX_BASE64_TEXT)
        case ["image.url"]:
            return from_url(fields["image.url"].strip(), fetcher)
        case ["image"]:
            raise errors.Refused(400, errors.Code.IMAGE_AS_TEXT, "image came as text; send a file.")
    names = ", ".join(SOURCES)
    raise errors.Refused(400, errors.Code.NO_IMAGE, f"There is no picture: send one of {names}.")


def from_base64(name: str, text: str, longest: int) -> BinaryIO:
    """The decoded text, an optional ``data:`` prefix left out; raises Refused 400/1019 and 400/1006."""
    if len(text) > longest:
        allowed = f"at most {longest:,} characters long; send larger pictures as a file"
        raise errors.bad_parameter(name, text, allowed)
    if text.lstrip()[:5].lower() == "data:":
        text = text.partition(",")[2]
    # A client that forgets to escape the form sends each + as a space.
    packed = text.strip().replace("\r", "").replace("\n", "").replace(" ", "+")
    try:
        data = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.unreadable_picture() from error
    return io.BytesIO(data)


def from_url(url: str, fetcher: Fetcher) -> BinaryIO:
    """What is found at an address; raises what the fetcher raises."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        fetcher.fetch(url, cast(BinaryIO, file))
    except BaseException:
        file.close()
        raise
    return cast(BinaryIO, file)
