"""Everything that can go wrong with a call, by what the caller may do about it.

::

    PixianError
    ├── ApiError         an answer in the contract's envelope: status, code, message
    │   ├── Refused      4xx: permanent, nothing is charged
    │   │   ├── TooComplex 400: a picture that would take too long to read
    │   │   ├── SlowDown 429: not processed, wait and send again
    │   │   └── AccountRefused 401, 402, 403: every call would be refused until a person acts
    │   ├── Misdirected  what no server of the contract answers: the address is wrong
    │   ├── GatewayTimedOut  504, 524: something between gave up waiting; charged or not, nobody knows
    │   └── ServerFailed 5xx: may pass, probably not charged
    │       └── OutOfTime 429/1017: too little time was left to begin, so it wasn't processed
    ├── Unreachable      no connection: nothing was sent
    ├── Unanswered       sent, and no answer came: charged or not, nobody here knows
    └── BodyLost         the headers came, the body broke: charged as they say

A server raises ApiErrors and a client rebuilds them from the answer. Match on ``code``, never on the
text: § 4 of the contract.
"""

from enum import IntEnum
from typing import Any

MAX_CODE = 2**31 - 1
"""What is larger fits no column and is no code of the contract."""


class Code(IntEnum):
    """The contract's error codes that are in use here, and some of our own for what only we refuse, which
    are their status (G)."""

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
    """An error answer. ``code`` is 0 where the answer wasn't in the contract's envelope."""

    def __init__(self, status: int, code: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(f"{status}/{int(code)}: {message}")
        self.status = status
        self.code = int(code)
        self.message = message
        self.retry_after = retry_after

    def envelope(self) -> dict[str, Any]:
        """The JSON body that carries it."""
        return {"error": {"status": self.status, "code": self.code, "message": self.message}}

    def headers(self) -> dict[str, str]:
        """The headers that go with it (§ 4)."""
        told = {"WWW-Authenticate": 'Basic realm="pixian"'} if self.status == 401 else {}
        return told if self.retry_after is None else told | {"Retry-After": str(self.retry_after)}


class Refused(ApiError):  # noqa: N818 - a refusal is an answer, not a malfunction
    """4xx: the same request would be refused again."""


class TooComplex(Refused):
    """400/1006 for a picture that takes too long to read, or too much memory, however it looks."""


class SlowDown(Refused):
    """429: too many calls; wait, then send again."""


class AccountRefused(Refused):
    """401, 402, 403: the credentials are wrong or the account is out of credits, whatever the picture."""


class Misdirected(ApiError):  # noqa: N818
    """A redirect, a 404, a success that isn't 200, an account that can't be read: something else than a
    server of the contract answers at this address, or answers for it."""


class GatewayTimedOut(ApiError):  # noqa: N818
    """504, 524: a proxy on the way gave up waiting, while the server may have gone on and charged."""


class ServerFailed(ApiError):  # noqa: N818
    """5xx, or an answer that makes no sense: a later attempt may succeed."""


class OutOfTime(ServerFailed):
    """429/1017: too little time was left to begin. Another attempt may succeed; it isn't a sign to slow
    down, so no thread waits for it."""


class Unreachable(PixianError):  # noqa: N818
    """No connection was made, so nothing was processed."""


class Unanswered(PixianError):  # noqa: N818
    """The request went out and no status line came back."""


class BodyLost(PixianError):  # noqa: N818
    """The status and headers arrived, the body did not arrive whole."""


def from_answer(status: int, payload: object, fallback: str, retry_after: int | None = None) -> ApiError:
    """The error that an answer of this status means.

    ``payload`` is the parsed JSON body, or anything else where it wasn't JSON; ``fallback`` is the
    message then. Of a message's characters those that can't be printed are left out, since neither logs nor
    PostgreSQL take them.
    """
    match payload:
        case {"error": {"code": int(code), "message": str(message)}} if abs(code) <= MAX_CODE:
            message = "".join(character if character.isprintable() else " " for character in message)
        case _:
            code, message = 0, fallback
    return _kind(status, code)(status, code, message, retry_after=retry_after)


def _kind(status: int, code: int) -> type[ApiError]:
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
    return Refused(400, Code.UNREADABLE, "The picture can't be read: it is damaged or of an unknown format.")


def too_complex(why: str) -> TooComplex:
    """why: a sentence's rest, behind *it*."""
    return TooComplex(
        400,
        Code.UNREADABLE,
        f"The picture can't be read: it {why}. Save it again with an image editor and send that file.",
    )


def too_slow(seconds: float) -> TooComplex:
    return TooComplex(
        400,
        Code.UNREADABLE,
        f"The picture can't be read within {seconds:g} seconds. "
        "Save it again with an image editor and send that file.",
    )


def side_too_long(width: int, height: int, cap: int) -> Refused:
    return Refused(
        413,
        Code.TOO_MANY_PIXELS,
        f"The picture is {width:,} × {height:,}; each side may have {cap:,} pixels. Crop it or shrink it.",
    )


def too_many_bytes(actual: int, cap: int) -> Refused:
    return Refused(413, Code.TOO_MANY_BYTES, f"The upload has {actual:,} bytes; {cap:,} are allowed.")


def too_many_pixels(width: int, height: int, cap: int, shrink_to: tuple[int, int]) -> Refused:
    return Refused(
        413,
        Code.TOO_MANY_PIXELS,
        f"The picture is {width} × {height}, {width * height:,} pixels; {cap:,} are allowed. "
        f"Shrink it to {shrink_to[0]} × {shrink_to[1]} or less.",
    )


def bad_parameter(name: str, value: str, allowed: str) -> Refused:
    return Refused(400, Code.BAD_PARAMETER, f"{name} is {value[:80]!r}; it must be {allowed}.")


def result_too_large(width: int, height: int, allowed: str) -> Refused:
    return Refused(
        400, Code.RESULT_TOO_LARGE, f"The result would be {width} × {height}; it may have {allowed}."
    )


def url_unparseable(why: str) -> Refused:
    return Refused(400, Code.URL_UNPARSEABLE, f"The URL can't be used: {why}.")


def url_failed(why: str) -> Refused:
    return Refused(400, Code.URL_FAILED, f"The URL couldn't be fetched: {why}.")


def url_not_200(status: int) -> Refused:
    return Refused(400, Code.URL_NOT_200, f"The URL answered HTTP {status}; it must be 200.")


def url_not_image(content_type: str) -> Refused:
    kind = repr(content_type[:80]) if content_type else "missing"
    return Refused(400, Code.URL_NOT_IMAGE, f"The URL's content type is {kind}; it must be an image's.")


def url_too_large(cap: int) -> Refused:
    return Refused(413, Code.TOO_MANY_BYTES, f"The URL's file has more than the {cap:,} bytes allowed.")
