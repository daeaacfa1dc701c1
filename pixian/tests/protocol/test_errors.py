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
def test_the_status_decides_the_error_class(status: int, kind: type[errors.ApiError]) -> None:
    error = errors.from_response(status, None, 7)
    assert type(error) is kind
    assert (error.status, error.code, error.retry_after) == (status, 0, 7)
    assert error.message == f"The server responded with HTTP {status}."


def test_an_envelope_round_trips() -> None:
    error = errors.from_response(400, ENVELOPE)
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
def test_a_body_without_an_envelope_gets_code_0_and_a_general_message(payload: object) -> None:
    error = errors.from_response(400, payload)
    assert (error.code, error.message) == (0, "The server responded with HTTP 400.")


def test_a_message_can_be_logged_and_stored() -> None:
    """A NUL fails in PostgreSQL, half a surrogate pair in UTF-8, and a line break would fake a log entry."""
    envelope = {"error": {"status": 400, "code": 1, "message": "trop sombre\n…\x00\ud800\x1b[2J ✓"}}
    assert errors.from_response(400, envelope).message == "trop sombre …   [2J ✓"


def test_the_subclasses_callers_rely_on() -> None:
    """Callers match on these classes in this order."""
    assert issubclass(errors.AccountRefused, errors.Refused)
    assert issubclass(errors.SlowDown, errors.Refused)
    assert not issubclass(errors.GatewayTimedOut, errors.ServerFailed)
    assert not issubclass(errors.Misdirected, errors.Refused)


def test_out_of_time_is_not_a_reason_to_slow_down() -> None:
    late = errors.from_response(429, {"error": {"code": 1017, "message": "Too late"}})
    assert isinstance(late, errors.OutOfTime)
    assert not isinstance(late, errors.SlowDown)
    for payload in (
        None,
        {"error": {"code": 1015, "message": "Slow"}},
        {"error": {"code": 0, "message": ""}},
    ):
        assert isinstance(errors.from_response(429, payload), errors.SlowDown)
    assert not isinstance(
        errors.from_response(400, {"error": {"code": 1017, "message": ""}}), errors.OutOfTime
    )
