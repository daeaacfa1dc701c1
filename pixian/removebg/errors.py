"""The contract's errors in remove.bg's format. Its clients look at the HTTP status first.

remove.bg's ``unknown_foreground`` is never used: a picture without a foreground gives a fully transparent
result, which is charged (G).
"""

from typing import Any

from pixian.protocol.errors import ApiError, Code, Refused

AUTH, CREDITS, SOURCE, MANY = "auth_failed", "insufficient_credits", "missing_source", "multiple_sources"
DOWNLOAD, BYTES, PIXELS = "failed_image_download", "file_too_large", "resolution_too_high"
SLOW_DOWN, ODD = "rate_limit_exceeded", "invalid_request"

NAMES: dict[int, str] = {
    Code.ID_UNKNOWN: AUTH,
    Code.KEY_DISABLED: AUTH,
    Code.SECRET_WRONG: AUTH,
    Code.SCOPE_MISSING: AUTH,
    Code.OUT_OF_CREDITS: CREDITS,
    Code.ALLOWANCE_USED_UP: CREDITS,
    Code.NO_IMAGE: SOURCE,
    Code.IMAGE_AS_TEXT: SOURCE,
    Code.UNREADABLE: "failed_to_read_image",
    Code.TOO_MANY_BYTES: BYTES,
    Code.TOO_MANY_PIXELS: PIXELS,
    Code.RESULT_TOO_LARGE: PIXELS,
    Code.URL_NOT_200: DOWNLOAD,
    Code.URL_NOT_IMAGE: "invalid_file_type",
    Code.URL_FAILED: DOWNLOAD,
    Code.URL_UNPARSEABLE: DOWNLOAD,
    Code.SLOW_DOWN: SLOW_DOWN,
    Code.OUT_OF_TIME: "timeout",
    Code.CONFLICT: "conflict",
}
BY_STATUS = {400: ODD, 401: AUTH, 402: CREDITS, 403: AUTH, 413: BYTES, 429: SLOW_DOWN}
"""Fallback for a code that isn't in NAMES, as another upstream may send one."""

STATUSES = {401: 403, 413: 400}
"""The contract's status and remove.bg's, if they differ."""

TITLES = {CREDITS: "Insufficient credits", AUTH: "API Key invalid"}
"""Fixed titles. Any other title is the whole message, since many clients show nothing else."""

PARAMETERS = (
    *("image_file", "image_file_b64", "image_url", "body"),
    *("size", "format", "channels", "crop", "crop_margin", "bg_color", "test"),
)
CLIENT_NAMES = {
    "max_pixels": "size",
    "result.crop_to_foreground": "crop",
    "result.margin": "crop_margin",
}
"""Options of the upstream call and the client's names for them, in case the upstream refuses one."""


class SeveralSources(Refused):
    """More than one picture; the contract has only the general bad-parameter code for this."""

    def __init__(self) -> None:
        message = "The request has several images: send exactly one of image_file, image_file_b64, image_url."
        super().__init__(400, Code.BAD_PARAMETER, message)


def status_of(error: ApiError) -> int:
    return STATUSES.get(error.status, error.status)


def envelope(error: ApiError) -> dict[str, Any]:
    """Return the JSON body of the error response."""
    name = _name(error)
    title = TITLES.get(name, error.message)
    return {"errors": [{"title": title, "code": name, "detail": error.message}]}


def headers(error: ApiError) -> dict[str, str]:
    return {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}


def _name(error: ApiError) -> str:
    if isinstance(error, SeveralSources):
        return MANY
    if error.code == Code.BAD_PARAMETER:
        # Our messages begin with the parameter's name. Another upstream's may begin with any word.
        word = error.message.partition(" ")[0]
        parameter = CLIENT_NAMES.get(word, word)
        return f"invalid_{parameter}" if parameter in PARAMETERS else ODD
    fallback = "server_error" if error.status >= 500 else f"http_{error.status}"
    return NAMES.get(error.code) or BY_STATUS.get(error.status, fallback)
