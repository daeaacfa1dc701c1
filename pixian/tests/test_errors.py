import pytest

from pixian import errors

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
        (302, errors.Misdirected),
        (204, errors.Misdirected),
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


@pytest.mark.parametrize("payload", [[], "text", {"error": "text"}, {"error": {"code": "1006"}}, None])
def test_anything_else_falls_back(payload: object) -> None:
    assert errors.from_answer(400, payload, "fallback").message == "fallback"
