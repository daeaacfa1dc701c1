"""The client against a wire that behaves in every way the contract knows."""

import io
from collections.abc import Callable, Iterator

import httpx
import pytest

from pixian.client.client import Client, api_base
from pixian.protocol import errors
from pixian.protocol.credentials import Credentials

CREDENTIALS = Credentials("px1", "secret")


def client(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    return Client("http://upstream", CREDENTIALS, transport=httpx.MockTransport(answer))


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def test_a_call_carries_the_picture_the_options_and_the_key() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(200, headers={"X-Credits-Charged": "1.5"}, content=b"png")

    with (
        client(answer) as upstream,
        upstream.remove_background(io.BytesIO(b"jpeg"), "été.jpg", {"test": "true"}) as response,
    ):
        assert (response.status, response.header("x-credits-charged")) == (200, "1.5")
        assert b"".join(response.stream()) == b"png"
    request = seen[0]
    assert str(request.url) == "http://upstream/api/v2/remove-background"
    assert request.headers["Authorization"] == CREDENTIALS.authorization
    assert b'name="image"' in request.content
    assert b"jpeg" in request.content
    assert b'name="test"\r\n\r\ntrue' in request.content


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.pixian.ai", "https://api.pixian.ai/api/v2"),
        ("https://api.pixian.ai/", "https://api.pixian.ai/api/v2"),
        ("https://proxy.example/pixian/v2/", "https://proxy.example/pixian/v2"),
    ],
)
def test_a_bare_host_is_given_the_contracts_path(url: str, base: str) -> None:
    assert api_base(url) == base


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (httpx.ConnectError("refused"), errors.Unreachable),
        (httpx.ConnectTimeout("slow"), errors.Unreachable),
        (httpx.ReadTimeout("silence"), errors.Unanswered),
        (httpx.WriteError("reset"), errors.Unanswered),
        (httpx.RemoteProtocolError("hung up"), errors.Unanswered),
    ],
)
def test_a_broken_line_is_told_by_what_may_have_happened(
    broken: Exception, kind: type[errors.PixianError]
) -> None:
    with (
        client(raising(broken)) as upstream,
        pytest.raises(kind),
        upstream.remove_background(io.BytesIO(), "x", {}),
    ):
        pass


def test_an_error_answer_becomes_an_error() -> None:
    envelope = {"error": {"status": 429, "code": 1015, "message": "Slow down"}}
    answer = httpx.Response(429, json=envelope, headers={"Retry-After": "7"})
    with (
        client(lambda _: answer) as upstream,
        upstream.remove_background(io.BytesIO(), "x", {}) as response,
    ):
        error = response.error()
    assert isinstance(error, errors.SlowDown)
    assert (error.code, error.message, error.retry_after) == (1015, "Slow down", 7)


@pytest.mark.parametrize("body", [b"<h1>Oops</h1>", b"[" * 100_000, b"[" * 60_000, b"", b"1e99"])
def test_an_error_page_is_no_envelope(body: bytes) -> None:
    with (
        client(lambda _: httpx.Response(500, content=body)) as upstream,
        upstream.remove_background(io.BytesIO(), "x", {}) as response,
    ):
        error = response.error()
    assert isinstance(error, errors.ServerFailed)
    assert (error.code, error.message) == (0, "The server responded with HTTP 500.")


def test_a_body_that_breaks_off_is_lost() -> None:
    def body() -> Iterator[bytes]:
        yield b"half"
        raise httpx.ReadError("reset")

    with (
        client(lambda _: httpx.Response(200, content=body())) as upstream,
        upstream.remove_background(io.BytesIO(), "x", {}) as response,
        pytest.raises(errors.BodyLost),
    ):
        list(response.stream())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7),
        ("0", 0),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("9999999", None),
        ("\u0667".encode().decode("latin-1"), None),
    ],
)
def test_only_a_plain_number_says_how_long_to_wait(header: str | None, seconds: int | None) -> None:
    headers = [] if header is None else [(b"Retry-After", header.encode("latin-1"))]
    answer = httpx.Response(429, headers=headers)
    with (
        client(lambda _: answer) as upstream,
        upstream.remove_background(io.BytesIO(), "x", {}) as response,
    ):
        assert response.retry_after == seconds


def redirected(
    *answers: httpx.Response, url: str = "https://upstream:8443"
) -> tuple[list[httpx.Request], Client]:
    """A client whose requests are answered in turn, and the requests as they are read."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return answers[len(seen) - 1]

    return seen, Client(url, CREDENTIALS, transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("location", ["/elsewhere", "https://upstream:8443/elsewhere", "../../elsewhere"])
def test_a_redirect_to_the_same_place_is_followed_with_body_and_key(status: int, location: str) -> None:
    answers = [httpx.Response(status, headers={"Location": location}), httpx.Response(200, content=b"png")]
    seen, upstream = redirected(*answers)
    picture = io.BytesIO(b"jpeg" * 50_000)
    with upstream, upstream.remove_background(picture, "a.jpg", {"test": "true"}) as response:
        assert (response.status, b"".join(response.stream())) == (200, b"png")
    first, second = seen
    assert (second.method, str(second.url)) == ("POST", "https://upstream:8443/elsewhere")
    assert second.content == first.content
    assert second.headers["Authorization"] == CREDENTIALS.authorization


@pytest.mark.parametrize(
    ("status", "location"),
    [
        *((status, "/elsewhere") for status in (300, 301, 302, 303, 304)),
        (307, "https://other:8443/"),
        (307, "https://upstream:8444/"),
        (307, "https://upstream/"),
        (308, "http://upstream:8443/"),
        (308, "//other:8443/"),
        (307, "https://a:b@upstream:8443/"),
        (307, "https://upstream:8443@other/"),
        (307, "file:///etc/passwd"),
        (307, "http://["),
        (307, "https://upstream:99999999/"),
        (307, "\x00"),
        (307, None),
    ],
)
def test_any_other_redirect_is_misdirected(status: int, location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    seen, upstream = redirected(httpx.Response(status, headers=headers))
    with upstream, upstream.remove_background(io.BytesIO(b"jpeg"), "a.jpg", {}) as response:
        assert isinstance(response.error(), errors.Misdirected)
    assert len(seen) == 1


def test_only_one_redirect_is_followed_and_none_that_was_charged() -> None:
    to = {"Location": "/elsewhere"}
    seen, upstream = redirected(*[httpx.Response(307, headers=to)] * 2)
    with upstream, upstream.remove_background(io.BytesIO(b"jpeg"), "a.jpg", {}) as response:
        assert isinstance(response.error(), errors.Misdirected)
    assert len(seen) == 2
    seen, upstream = redirected(httpx.Response(307, headers=to | {"X-Credits-Charged": "1"}))
    with upstream, upstream.remove_background(io.BytesIO(b"jpeg"), "a.jpg", {}) as response:
        assert (response.status, response.header("X-Credits-Charged")) == (307, "1")
    assert len(seen) == 1


def test_the_account_is_asked_again_where_it_has_moved() -> None:
    account = httpx.Response(200, json={"credits": 5})
    _, upstream = redirected(httpx.Response(308, headers={"Location": "/api/v3/account"}), account)
    with upstream:
        assert upstream.account().balance == 5_000_000


def test_a_line_that_breaks_behind_a_redirect_is_told_as_before_it() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/elsewhere":
            return httpx.Response(307, headers={"Location": "/elsewhere"})
        raise httpx.ReadError("reset")

    with (
        client(answer) as upstream,
        pytest.raises(errors.Unanswered),
        upstream.remove_background(io.BytesIO(b"x"), "x", {}),
    ):
        pass


def test_an_echo_beside_an_error_is_left_out_however_long_it_is() -> None:
    echo = {"image.base64": "secret" * 20_000}
    body = {"dataReceived": echo, "error": {"status": 400, "code": 1006, "message": "No"}}
    with (
        client(lambda _: httpx.Response(400, json=body)) as upstream,
        upstream.remove_background(io.BytesIO(), "x", {}) as response,
    ):
        error = response.error()
    assert (error.status, error.code, error.message) == (400, 1006, "No")
    assert "secret" not in repr(vars(error)) + str(error)


@pytest.mark.parametrize("name", ["", " ", "..", "C:\\"])
def test_a_picture_without_a_name_is_a_file_all_the_same(name: str) -> None:
    seen, upstream = redirected(httpx.Response(200))
    with upstream, upstream.remove_background(io.BytesIO(b"jpeg"), name, {}):
        pass
    assert b'name="image"; filename="picture"' in seen[0].content
