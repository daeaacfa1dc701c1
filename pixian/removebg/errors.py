"""Our errors as the other service says them. Its clients look at the status first."""

from typing import Any

from pixian.errors import ApiError, Code, Refused

NAMES = {
    Code.ID_UNKNOWN: "auth_failed",
    Code.KEY_DISABLED: "auth_failed",
    Code.SECRET_WRONG: "auth_failed",
    Code.SCOPE_MISSING: "auth_failed",
    Code.OUT_OF_CREDITS: "insufficient_credits",
    Code.ALLOWANCE_USED_UP: "insufficient_credits",
    Code.NO_IMAGE: "missing_source",
    Code.IMAGE_AS_TEXT: "missing_source",
    Code.UNREADABLE: "failed_to_read_image",
    Code.TOO_MANY_BYTES: "file_too_large",
    Code.TOO_MANY_PIXELS: "resolution_too_high",
    Code.RESULT_TOO_LARGE: "resolution_too_high",
    Code.URL_NOT_200: "failed_image_download",
    Code.URL_NOT_IMAGE: "invalid_file_type",
    Code.URL_FAILED: "failed_image_download",
    Code.URL_UNPARSEABLE: "failed_image_download",
    Code.SLOW_DOWN: "rate_limit_exceeded",
    Code.CONFLICT: "conflict",
}
TITLES = {"insufficient_credits": "Insufficient credits", "auth_failed": "API Key invalid"}
MULTIPLE = "Several sources"
STATUSES = {401: 403, 413: 400}


def status_of(error: ApiError) -> int:
    return STATUSES.get(error.status, error.status)


def envelope(error: ApiError) -> dict[str, Any]:
    """The JSON body that carries it."""
    name = _name(error)
    title = TITLES.get(name, error.message)
    return {"errors": [{"title": title, "code": name, "detail": error.message}]}


def headers(error: ApiError) -> dict[str, str]:
    return {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}


def several_sources() -> Refused:
    return Refused(400, Code.BAD_PARAMETER, f"{MULTIPLE}: send one of image_file, image_file_b64, image_url.")


def _name(error: ApiError) -> str:
    if error.code == Code.BAD_PARAMETER:
        parameter = error.message.partition(" ")[0]
        return "multiple_sources" if error.message.startswith(MULTIPLE) else f"invalid_{parameter}"
    return NAMES.get(error.code, "server_error" if error.status >= 500 else f"http_{error.status}")  # type: ignore[call-overload,no-any-return]
