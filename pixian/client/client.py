"""The one way to a server that speaks the contract: Pixian, the embedded engine, another instance."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import httpx

from pixian.protocol import errors, file_names
from pixian.protocol.credentials import Credentials
from pixian.protocol.credits import MAX_MICROCREDITS, MICROCREDITS
from pixian.protocol.limits import IDLE_TIMEOUT_SECONDS

CONNECT_TIMEOUT_SECONDS = 10
ACCOUNT_TIMEOUT_SECONDS = 20
OK = 200
API_PATH = "/api/v2"
MAX_ACCOUNT_BYTES = 65_536
MAX_ERROR_BYTES = 1 << 20
"""An error may carry an echo of the request's fields beside it."""

REDIRECTS = (307, 308)
MAX_CREDITS = MAX_MICROCREDITS // MICROCREDITS
CHUNK_BYTES = 65_536


def api_base(url: str) -> str:
    """The address that the contract's paths are added to. An address without a path, such as
    ``https://api.pixian.ai``, is given the contract's own."""
    url = url.rstrip("/")
    return url if urlsplit(url).path else url + API_PATH


class Answer:
    """A status line and headers that have arrived; the body is still on the wire."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = response.headers.multi_items()

    def header(self, name: str) -> str | None:
        """A header's text, verbatim."""
        text: str | None = self._response.headers.get(name)
        return text

    def stream(self) -> Iterator[bytes]:
        """The body in chunks; raises BodyLost where it breaks off."""
        try:
            yield from self._response.iter_bytes(CHUNK_BYTES)
        except httpx.HTTPError as error:
            raise errors.BodyLost(str(error) or type(error).__name__) from error

    def error(self) -> errors.ApiError:
        """What an answer other than 200 says went wrong; reads a bounded part of the body."""
        return errors.from_answer(
            self.status, self.payload(), f"The answer was HTTP {self.status}.", self.retry_after
        )

    @property
    def retry_after(self) -> int | None:
        """Seconds; None where absent or given as a date."""
        text = self.header("Retry-After") or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None

    def payload(self, longest: int = MAX_ERROR_BYTES, **parsing: Any) -> object:
        """The body as parsed JSON; None where it isn't JSON, breaks off or is longer than an envelope."""
        body = b""
        try:
            for chunk in self.stream():
                body += chunk
                if len(body) > longest:
                    return None
            return json.loads(body, **parsing)
        except (errors.BodyLost, ValueError, ArithmeticError, RecursionError):  # or beyond a parser's bounds
            return None


@dataclass(frozen=True)
class Account:
    """What the account endpoint says. balance: in micro-credits, cut off below one; answer: all of it,
    with fractions as text."""

    balance: int
    answer: dict[str, Any]


class Client:
    """Calls of one account at one address. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        transport: httpx.BaseTransport | None = None,
        idle_timeout: float = IDLE_TIMEOUT_SECONDS,
    ) -> None:
        """``idle_timeout``: seconds without a byte, not a deadline for the whole call.

        Redirects are followed once, where nothing but the path changes and the method stays (307, 308). Any
        other is an answer that no server of the contract gives.
        """
        self._http = httpx.Client(
            base_url=api_base(url),
            auth=(credentials.api_id, credentials.api_secret),
            timeout=httpx.Timeout(idle_timeout, connect=CONNECT_TIMEOUT_SECONDS, pool=None),
            # A connection kept alive may be dropped by the server just as a call is written to it, which
            # can't be told from a call that was lost on the way. A fresh one each time leaves no doubt.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"User-Agent": "pixian-web"},
            transport=transport,
            trust_env=False,
            event_hooks={"response": [_without_bad_location]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def remove_background(self, picture: BinaryIO, name: str, options: Mapping[str, str]) -> Iterator[Answer]:
        """One call, entered when its status line and headers have arrived, whatever the status.

        options: form fields, as ``Options.form`` writes them. Raises Unreachable where nothing was sent, and
        Unanswered where the request may have been processed but no answer came.
        """
        request = self._http.build_request(
            "POST",
            "remove-background",
            data=options,
            files={"image": (file_names.clean(name) or file_names.UNNAMED, picture)},
        )
        response = self._send(request)
        try:
            yield Answer(response)
        finally:
            response.close()

    def account(self) -> Account:
        """The account's state, which costs nothing to ask. Raises Unreachable, for 5xx too, SlowDown and
        AccountRefused, and Misdirected for all that isn't an account's answer."""
        request = self._http.build_request("GET", "account", timeout=ACCOUNT_TIMEOUT_SECONDS)
        try:
            response = self._send(request)
            try:
                answer = Answer(response)
                body = answer.payload(MAX_ACCOUNT_BYTES, parse_float=Decimal, parse_constant=str)
            finally:
                response.close()
        except errors.Unanswered as error:
            raise errors.Unreachable(str(error)) from error
        if answer.status == OK:
            return _account(body)
        raise _about_the_account(answer, body)

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, after a redirect that may be followed. Both requests are one call: the first
        wasn't processed."""
        response = self._send_once(request)
        again = _followed(request, response)
        if again is None:
            return response
        response.close()
        return self._send_once(again)

    def _send_once(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise errors.Unreachable(str(error)) from error
        except httpx.HTTPError as error:
            raise errors.Unanswered(str(error) or type(error).__name__) from error


def _followed(request: httpx.Request, response: httpx.Response) -> httpx.Request | None:
    """Return the request that a redirect asks for. None unless it stays at the scheme, host and port that the
    key belongs to, and nothing was charged yet."""
    again = response.next_request
    if again is None or response.status_code not in REDIRECTS or "X-Credits-Charged" in response.headers:
        return None
    here, there = ((url.scheme, url.host, url.port, url.userinfo) for url in (request.url, again.url))
    return again if here == there else None


def _without_bad_location(response: httpx.Response) -> None:
    """Drop a Location that httpx can't read: it would raise, as if no answer had come at all."""
    try:
        response.request.url.join(response.headers.get("Location", ""))
    except (httpx.InvalidURL, ValueError):
        del response.headers["Location"]


def _account(body: object) -> Account:
    balance: Any = body.get("credits") if isinstance(body, dict) else None
    if type(balance) in (int, Decimal) and -MAX_CREDITS < balance < MAX_CREDITS:
        as_json = json.loads(json.dumps(body, default=str))
        return Account(int(Decimal(balance) * MICROCREDITS), as_json)
    raise errors.Misdirected(OK, 0, "The account's answer can't be read.")


def _about_the_account(answer: Answer, body: object) -> errors.PixianError:
    error = errors.from_answer(answer.status, body, f"The answer was HTTP {answer.status}.")
    match error:
        case errors.ServerFailed() | errors.GatewayTimedOut():
            return errors.Unreachable(str(error))
        case errors.SlowDown() | errors.AccountRefused():
            return error
    return errors.Misdirected(error.status, error.code, error.message)
