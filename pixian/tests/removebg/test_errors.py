"""Our errors as the other service says them."""

import pytest

from pixian.protocol import errors as ours
from pixian.protocol.errors import ApiError, Code, Refused, ServerFailed, SlowDown
from pixian.protocol.options import Options
from pixian.removebg.errors import NAMES, SeveralSources, envelope, headers, status_of
from pixian.removebg.options import RemovebgOptions

OF_STATUS = {
    Code.TOO_MANY_BYTES: 413,
    Code.TOO_MANY_PIXELS: 413,
    Code.SLOW_DOWN: 429,
    Code.OUT_OF_CREDITS: 402,
    Code.ALLOWANCE_USED_UP: 402,
    Code.ID_UNKNOWN: 401,
    Code.KEY_DISABLED: 401,
    Code.SECRET_WRONG: 401,
    Code.SCOPE_MISSING: 403,
    Code.CONFLICT: 409,
}


def translated(error: ApiError) -> tuple[int, str]:
    (only,) = envelope(error)["errors"]
    assert set(only) == {"title", "code", "detail"}
    assert only["title"]
    return status_of(error), only["code"]


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        (Code.ID_UNKNOWN, 403, "auth_failed"),
        (Code.KEY_DISABLED, 403, "auth_failed"),
        (Code.SECRET_WRONG, 403, "auth_failed"),
        (Code.SCOPE_MISSING, 403, "auth_failed"),
        (Code.OUT_OF_CREDITS, 402, "insufficient_credits"),
        (Code.ALLOWANCE_USED_UP, 402, "insufficient_credits"),
        (Code.NO_IMAGE, 400, "missing_source"),
        (Code.IMAGE_AS_TEXT, 400, "missing_source"),
        (Code.UNREADABLE, 400, "failed_to_read_image"),
        (Code.TOO_MANY_BYTES, 400, "file_too_large"),
        (Code.TOO_MANY_PIXELS, 400, "resolution_too_high"),
        (Code.RESULT_TOO_LARGE, 400, "resolution_too_high"),
        (Code.URL_NOT_200, 400, "failed_image_download"),
        (Code.URL_FAILED, 400, "failed_image_download"),
        (Code.URL_UNPARSEABLE, 400, "failed_image_download"),
        (Code.URL_NOT_IMAGE, 400, "invalid_file_type"),
        (Code.SLOW_DOWN, 429, "rate_limit_exceeded"),
        (Code.CONFLICT, 409, "conflict"),
    ],
)
def test_every_code_has_the_other_services_name(code: Code, status: int, name: str) -> None:
    assert translated(Refused(OF_STATUS.get(code, 400), code, "Why.")) == (status, name)


def test_no_refusal_of_ours_is_without_a_name() -> None:
    ours_alone = {Code.TIMED_OUT, Code.OVERLOADED, Code.BAD_PARAMETER}
    assert set(NAMES) | ours_alone == set(Code)


@pytest.mark.parametrize(
    ("status", "expected_status", "name"),
    [
        (400, 400, "invalid_request"),
        (401, 403, "auth_failed"),
        (402, 402, "insufficient_credits"),
        (403, 403, "auth_failed"),
        (404, 404, "http_404"),
        (405, 405, "http_405"),
        (410, 410, "http_410"),
        (413, 400, "file_too_large"),
        (415, 415, "http_415"),
        (429, 429, "rate_limit_exceeded"),
        (500, 500, "server_error"),
        (502, 502, "server_error"),
        (504, 504, "server_error"),
    ],
)
def test_the_status_decides_where_the_code_says_nothing(status: int, expected_status: int, name: str) -> None:
    assert translated(ours.from_response(status, None)) == (expected_status, name)
    assert translated(Refused(status, 1003, "A code that is new to us.")) == (expected_status, name)


@pytest.mark.parametrize("name", ["size", "format", "channels", "crop", "bg_color", "test"])
def test_a_bad_parameter_is_named_in_the_code(name: str) -> None:
    with pytest.raises(Refused) as caught:
        RemovebgOptions.parse({name: "?"})
    assert translated(caught.value) == (400, f"invalid_{name}")


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"max_pixels": "1"}, "invalid_size"),
        ({"result.margin": "1"}, "invalid_crop_margin"),
        ({"result.crop_to_foreground": "1"}, "invalid_crop"),
    ],
)
def test_what_the_upstream_refuses_has_the_clients_name(form: dict[str, str], name: str) -> None:
    with pytest.raises(Refused) as caught:
        Options.parse(form)
    assert translated(caught.value) == (400, name)


@pytest.mark.parametrize("message", ["", "Nope", "Parameter size is bad", "the options is 'x'", "a/b\n"])
def test_a_text_that_names_nothing_of_ours_makes_no_code(message: str) -> None:
    assert envelope(Refused(400, Code.BAD_PARAMETER, message))["errors"][0]["code"] == "invalid_request"


def test_several_sources_have_a_code_of_their_own() -> None:
    assert translated(SeveralSources()) == (400, "multiple_sources")
    assert SeveralSources().code == Code.BAD_PARAMETER


def test_clients_know_two_titles_and_read_the_rest() -> None:
    """removebg 0.04 logs the title alone."""

    def title(error: ApiError) -> str:
        return str(envelope(error)["errors"][0]["title"])

    assert title(Refused(402, Code.OUT_OF_CREDITS, "The team has 0.")) == "Insufficient credits"
    assert title(Refused(401, Code.ID_UNKNOWN, "Who?")) == "API Key invalid"
    assert title(ours.unreadable_picture()) == ours.unreadable_picture().message


def test_how_long_to_wait_is_kept() -> None:
    assert headers(SlowDown(429, Code.SLOW_DOWN, "Slow down", retry_after=7)) == {"Retry-After": "7"}
    assert headers(ServerFailed(503, Code.OVERLOADED, "Busy", retry_after=60)) == {"Retry-After": "60"}
    assert headers(Refused(401, Code.ID_UNKNOWN, "Who?")) == {}
