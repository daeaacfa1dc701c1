"""The errors of a call, ordered by what the caller can do about them (§ 4 of the contract).

::

    PixianError
    ├── ApiError         a response in the contract's envelope: status, code, message
    │   ├── Refused      4xx: permanent, nothing is charged
    │   │   ├── TooComplex 400: the picture would take too long to decode
    │   │   ├── SlowDown 429: not processed, wait and send again
    │   │   └── AccountRefused 401, 402, 403: every call is refused until a person acts
    │   ├── Misdirected  the response isn't from a server of the contract: the address is wrong
    │   ├── GatewayTimedOut  504, 524: a proxy gave up waiting; it is unknown if the call was charged
    │   └── ServerFailed 5xx: may pass, probably not charged
    │       └── OutOfTime 429/1017: too little time was left to start, so it wasn't processed
    ├── Unreachable      no connection: nothing was sent
    ├── Unanswered       sent, but no response came: it is unknown if the call was charged
    └── BodyLost         the headers came, the body broke off: charged as the headers say

A server raises ApiErrors; the client rebuilds them from the response. Match on ``code``, never on the text.
"""

from enum import IntEnum
from typing import Any

MAX_CODE = 2**31 - 1
"""The largest code that fits the database column; the contract's own are far below."""


class Code(IntEnum):
    """The contract's error codes in use here.

    The codes marked *own* are for refusals that only this product has; they equal their HTTP status (G).
    """

    TIMED_OUT = -10
    OVERLOADED = -3
    ALLOWANCE_USED_UP = 402  # own
    SCOPE_MISSING = 403  # own
    CONFLICT = 409  # own
    ID_UNKNOWN = 1001
    KEY_DISABLED = 1002
    SECRET_WRONG = 1004
    NO_IMAGE = 1005
    UNREADABLE = 1006
    OUT_OF_CREDITS = 1011
    TOO_MANY_BYTES = 1012
    TOO_MANY_PIXELS = 1013
    SLOW_DOWN = 1015
    IMAGE_AS_TEXT = 1016
    OUT_OF_TIME = 1017
    BAD_PARAMETER = 1019
    URL_NOT_200 = 1020
    URL_NOT_IMAGE = 1021
    URL_FAILED = 1022
    RESULT_TOO_LARGE = 1023
    URL_UNPARSEABLE = 1024


class PixianError(Exception):
    """Base of every failure of a call."""


class ApiError(PixianError):
    """An error response. ``code`` is 0 if the response wasn't in the contract's envelope."""

    def __init__(self, status: int, code: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(f"{status}/{int(code)}: {message}")
        self.status = status
        self.code = int(code)
        self.message = message
        self.retry_after = retry_after

    def envelope(self) -> dict[str, Any]:
        """Return the JSON body of the error response."""
        return {"error": {"status": self.status, "code": self.code, "message": self.message}}

    def headers(self) -> dict[str, str]:
        """Return the extra headers of the error response (§ 4)."""
        headers = {"WWW-Authenticate": 'Basic realm="pixian"'} if self.status == 401 else {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers


class Refused(ApiError):  # noqa: N818 - a refusal is a response, not a malfunction
    """4xx: the same request would be refused again."""


class TooComplex(Refused):
    """400/1006: a valid picture that would take too much time or memory to decode."""


class SlowDown(Refused):
    """429: too many calls; wait, then send again."""


class AccountRefused(Refused):
    """401, 402, 403: the credentials are wrong or the account is out of credits, whatever the picture."""


class Misdirected(ApiError):  # noqa: N818
    """The address doesn't lead to a server of the contract.

    Signs are a redirect, a 404, a success other than 200, or an account response that can't be read.
    """


class GatewayTimedOut(ApiError):  # noqa: N818
    """504, 524: a proxy on the way gave up waiting, but the server may have continued and charged."""


class ServerFailed(ApiError):  # noqa: N818
    """5xx, or a response that makes no sense: a later attempt may succeed."""


class OutOfTime(ServerFailed):
    """429/1017: too little time was left to start.

    Another attempt may succeed at once. It isn't a sign to slow down, so no thread backs off for it.
    """


class Unreachable(PixianError):  # noqa: N818
    """No connection was made, so nothing was processed."""


class Unanswered(PixianError):  # noqa: N818
    """The request was sent, but no status line came back."""


class BodyLost(PixianError):  # noqa: N818
    """The status and headers arrived, but not the whole body."""


def from_response(status: int, payload: object, retry_after: int | None = None) -> ApiError:
    """Return the error that a response with this status and body stands for.

    payload: the parsed JSON body, or None if it wasn't JSON.
    """
    match payload:
        case {"error": {"code": int(code), "message": str(message)}} if abs(code) <= MAX_CODE:
            # PostgreSQL can't store a NUL, and control characters would garble a log.
            message = "".join(character if character.isprintable() else " " for character in message)
        case _:
            code, message = 0, f"The server responded with HTTP {status}."
    return _error_class(status, code)(status, code, message, retry_after=retry_after)


def _error_class(status: int, code: int) -> type[ApiError]:
    if status == 429:
        return OutOfTime if code == Code.OUT_OF_TIME else SlowDown
    if status in (401, 402, 403):
        return AccountRefused
    if status in (404, 405, 407, 421, 426) or status < 400:
        return Misdirected
    if status in (504, 524):
        return GatewayTimedOut
    return Refused if status < 500 else ServerFailed


def unreadable_picture() -> Refused:
    return Refused(
        400, Code.UNREADABLE, "The image can't be read: it is damaged or in an unsupported format."
    )


def too_complex(reason: str) -> TooComplex:
    """Return the error for a picture refused unread. reason: a predicate whose subject is *it*."""
    return TooComplex(
        400,
        Code.UNREADABLE,
        f"The image can't be read: it {reason}. Save it again with an image editor and send the new file.",
    )


def too_slow(seconds: float) -> TooComplex:
    return TooComplex(
        400,
        Code.UNREADABLE,
        f"The image couldn't be read within {seconds:g} seconds. "
        "Save it again with an image editor and send the new file.",
    )


def side_too_long(width: int, height: int, cap: int) -> Refused:
    return Refused(
        413,
        Code.TOO_MANY_PIXELS,
        f"The image is {width:,} × {height:,} pixels; a side can have at most {cap:,}. Crop or shrink it.",
    )


def too_many_bytes(actual: int, cap: int) -> Refused:
    return Refused(
        413,
        Code.TOO_MANY_BYTES,
        f"The upload is {actual:,} bytes; the limit is {cap:,}. Send a smaller file.",
    )


def too_many_pixels(width: int, height: int, cap: int, shrink_to: tuple[int, int]) -> Refused:
    return Refused(
        413,
        Code.TOO_MANY_PIXELS,
        f"The image is {width} × {height} ({width * height:,} pixels); the limit is {cap:,} pixels. "
        f"Shrink it to {shrink_to[0]} × {shrink_to[1]} or less.",
    )


def bad_parameter(name: str, value: str, allowed: str) -> Refused:
    # The message starts with the name: pixian.removebg.errors reads it from there.
    return Refused(400, Code.BAD_PARAMETER, f"{name} is {value[:80]!r}; it must be {allowed}.")


def result_too_large(width: int, height: int, allowed: str) -> Refused:
    return Refused(
        400,
        Code.RESULT_TOO_LARGE,
        f"The result would be {width} × {height} pixels; the limit is {allowed}. "
        "Choose a smaller margin, target size or max_pixels.",
    )


def url_unparseable(reason: str) -> Refused:
    return Refused(400, Code.URL_UNPARSEABLE, f"The URL can't be used: {reason}.")


def url_failed(reason: str) -> Refused:
    return Refused(400, Code.URL_FAILED, f"The URL couldn't be fetched: {reason}.")


def url_not_200(status: int) -> Refused:
    return Refused(400, Code.URL_NOT_200, f"The URL returned HTTP status {status}; it must return 200.")


def url_not_image(content_type: str) -> Refused:
    problem = f"has the content type {content_type[:80]!r}" if content_type else "has no content type"
    return Refused(400, Code.URL_NOT_IMAGE, f"The URL {problem}; it must be an image's, such as image/jpeg.")


def url_too_large(cap: int) -> Refused:
    return Refused(
        413, Code.TOO_MANY_BYTES, f"The file at the URL is larger than the limit of {cap:,} bytes."
    )
