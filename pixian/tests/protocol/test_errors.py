import pytest

from pixian.protocol import errors

ENVELOPE = {"error": {"status": 400, "code": 1006, "message": "no"}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Refused),
        (401, errors.AccountRefused),
        (402, errors.AccountRefused),
        (403, errors.AccountRefused),
        (404, errors.Misdirected),
        (405, errors.Misdirected),
        (413, errors.Refused),
        (429, errors.SlowDown),
        (500, errors.ServerFailed),
        (503, errors.ServerFailed),
        (504, errors.GatewayTimedOut),
        (524, errors.GatewayTimedOut),
        (501, errors.ServerFailed),
        (502, errors.ServerFailed),
        (599, errors.ServerFailed),
        (407, errors.Misdirected),
        (421, errors.Misdirected),
        (426, errors.Misdirected),
        (302, errors.Misdirected),
        (308, errors.Misdirected),
        (304, errors.Misdirected),
        (204, errors.Misdirected),
        (201, errors.Misdirected),
        (408, errors.Refused),
        (415, errors.Refused),
        (451, errors.Refused),
    ],
)
def test_the_status_decides_what_may_be_done(status: int, kind: type[errors.ApiError]) -> None:
    error = errors.from_answer(status, None, "HTTP", 7)
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.retry_after) == (status, 0, "HTTP", 7)


def test_the_envelope_goes_out_as_it_comes_in() -> None:
    error = errors.from_answer(400, ENVELOPE, "unused")
    assert (error.code, error.message) == (errors.Code.UNREADABLE, "no")
    assert error.envelope() == ENVELOPE


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        {"error": "text"},
        {"error": {"code": "1006"}},
        {"error": {"code": 1006}},
        {"error": {"code": 1006.5, "message": "no"}},
        {"error": {"code": 2**31, "message": "no"}},
        {"error": {"code": 1006, "message": None}},
        None,
    ],
)
def test_anything_else_falls_back(payload: object) -> None:
    error = errors.from_answer(400, payload, "fallback")
    assert (error.code, error.message) == (0, "fallback")


def test_a_message_can_be_logged_and_stored() -> None:
    """PostgreSQL takes no NUL, UTF-8 no half of a surrogate pair, and a log no second line."""
    envelope = {"error": {"status": 400, "code": 1, "message": "trop sombre\n…\x00\ud800\x1b[2J ✓"}}
    assert errors.from_answer(400, envelope, "").message == "trop sombre …   [2J ✓"


def test_a_refused_account_is_a_refusal_and_a_gateways_time_out_is_no_server_error() -> None:
    """``process`` decides by these kinds in this order."""
    assert issubclass(errors.AccountRefused, errors.Refused)
    assert issubclass(errors.SlowDown, errors.Refused)
    assert not issubclass(errors.GatewayTimedOut, errors.ServerFailed)
    assert not issubclass(errors.Misdirected, errors.Refused)


def test_having_been_too_late_is_no_sign_to_slow_down() -> None:
    late = errors.from_answer(429, {"error": {"code": 1017, "message": "Too late"}}, "")
    assert isinstance(late, errors.OutOfTime)
    assert not isinstance(late, errors.SlowDown)
    for payload in (
        None,
        {"error": {"code": 1015, "message": "Slow"}},
        {"error": {"code": 0, "message": ""}},
    ):
        assert isinstance(errors.from_answer(429, payload, ""), errors.SlowDown)
    assert not isinstance(
        errors.from_answer(400, {"error": {"code": 1017, "message": ""}}, ""), errors.OutOfTime
    )
