"""What the client makes of the account endpoint: a balance to the micro-credit, or what is wrong."""

import json
from functools import reduce
from operator import add

import httpx
import pytest

from pixian.client.client import Account
from pixian.protocol import errors
from pixian.tests.client.test_client import CREDENTIALS, client, raising


def account(body: bytes, status: int = 200, **headers: str) -> Account:
    answer = httpx.Response(status, content=body, headers=headers)
    with client(lambda _: answer) as upstream:
        return upstream.account()


def test_the_account_tells_its_balance_and_all_it_said() -> None:
    body = b'{"creditPack": "none", "state": "active", "useBefore": "2027-01-01", "credits": 1234.5}'
    result = account(body)
    assert result.balance == 1_234_500_000
    assert result.answer == {
        "creditPack": "none",
        "state": "active",
        "useBefore": "2027-01-01",
        "credits": "1234.5",
    }


def test_asking_carries_the_key_and_costs_nothing() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"credits": 1})

    with client(answer) as upstream:
        upstream.account()
    assert (seen[0].method, str(seen[0].url)) == ("GET", "http://upstream/api/v2/account")
    assert seen[0].headers["Authorization"] == CREDENTIALS.authorization


@pytest.mark.parametrize(
    ("number", "microcredits"),
    [
        ("0", 0),
        ("100", 100_000_000),
        ("0.1", 100_000),
        ("0.3", 300_000),  # 299999.99… as a float
        ("1.000001", 1_000_001),
        ("0.0000019", 1),  # cut off
        ("123456789.123456", 123_456_789_123_456),
        ("1e3", 1_000_000_000),
        ("-2.5", -2_500_000),
    ],
)
def test_a_balance_is_exact(number: str, microcredits: int) -> None:
    assert account(f'{{"credits": {number}}}'.encode()).balance == microcredits


def test_many_small_balances_add_up_as_floats_would_not() -> None:
    tenth = account(b'{"credits": 0.1}').balance
    assert sum([tenth] * 10) == account(b'{"credits": 1}').balance
    # The control. Since Python 3.12 sum() of floats corrects itself.
    assert int(reduce(add, [0.1] * 10) * 10**6) != 10**6


@pytest.mark.parametrize("huge", ["9e9", "9" * 16, "1e40", "1e99999999", "1e9999999999999999999"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_balance_beyond_all_bounds_is_no_balance(huge: str, sign: str) -> None:
    with pytest.raises(errors.Misdirected, match="can't be read"):
        account(f'{{"credits": {sign}{huge}0}}'.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<h1>Welcome to nginx!</h1>",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"credits": null}',
        b'{"credits": "12"}',
        b'{"credits": [1]}',
        b'{"credits": true}',
        b'{"credits": NaN}',
        b'{"credits": Infinity}',
        b'{"credits": -Infinity}',
        b'{"credits": 1',
        b'{"credits": ' + b"9" * 5000 + b"}",
        b"[" * 60_000,
        b'{"credits": 1, "more": "' + b"x" * 70_000 + b'"}',
        b"\xff\xfe\x00",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_no_account_means_a_wrong_address(body: bytes) -> None:
    with pytest.raises(errors.Misdirected) as caught:
        account(body)
    assert (caught.value.status, caught.value.message) == (200, "The account's response can't be read.")


def test_the_account_can_be_kept_as_json_whatever_is_in_it() -> None:
    result = account(b'{"credits": 1.10, "plan": {"price": 9.90, "rates": [0.1, NaN]}, "n": 3, "b": true}')
    assert json.loads(json.dumps(result.answer, allow_nan=False)) == result.answer
    assert result.answer["credits"] == "1.10"
    assert result.answer["plan"]["price"] == "9.90"
    assert (result.answer["n"], result.answer["b"]) == (3, True)


ENVELOPE = b'{"error": {"status": 0, "code": 1004, "message": "The secret is wrong"}}'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.AccountRefused),
        (402, errors.AccountRefused),
        (403, errors.AccountRefused),
        (429, errors.SlowDown),
        (400, errors.Misdirected),
        (404, errors.Misdirected),
        (204, errors.Misdirected),
        (302, errors.Misdirected),
    ],
)
def test_an_account_that_refuses_says_why(status: int, kind: type[errors.ApiError]) -> None:
    with pytest.raises(kind) as caught:
        account(ENVELOPE, status, Location="http://elsewhere/login")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.message) == (status, "The secret is wrong")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_an_account_behind_a_broken_server_is_out_of_reach(status: int) -> None:
    with pytest.raises(errors.Unreachable, match=str(status)):
        account(b"<h1>Bad gateway</h1>", status)


@pytest.mark.parametrize("broken", [httpx.ConnectError("refused"), httpx.ReadTimeout("silence")])
def test_a_broken_line_to_the_account_is_never_in_doubt(broken: Exception) -> None:
    with client(raising(broken)) as upstream, pytest.raises(errors.Unreachable):
        upstream.account()


def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": "http://elsewhere/api/v2/account"})

    with client(answer) as upstream, pytest.raises(errors.Misdirected):
        upstream.account()
    assert asked == ["http://upstream/api/v2/account"]
