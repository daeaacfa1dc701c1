"""HTTP client for any server of the contract: Pixian itself, the embedded engine or another instance."""

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
"""An error body may include an echo of the request's fields."""

REDIRECTS = (307, 308)
MAX_CREDITS = MAX_MICROCREDITS // MICROCREDITS
CHUNK_BYTES = 65_536


def api_base(url: str) -> str:
    """Return the base URL of the API; a URL without a path, ``https://api.pixian.ai``, gets ``/api/v2``."""
    url = url.rstrip("/")
    return url if urlsplit(url).path else url + API_PATH


class Answer:
    """A status line and headers that have arrived; the body is still on the wire."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = response.headers.multi_items()

    def header(self, name: str) -> str | None:
        """Return a header's value verbatim, or None if it is absent."""
        text: str | None = self._response.headers.get(name)
        return text

    def stream(self) -> Iterator[bytes]:
        """Yield the body in chunks; raise BodyLost if it breaks off."""
        try:
            yield from self._response.iter_bytes(CHUNK_BYTES)
        except httpx.HTTPError as error:
            raise errors.BodyLost(str(error) or type(error).__name__) from error

    def error(self) -> errors.ApiError:
        """Return the error that a response other than 200 stands for; reads its body."""
        return errors.from_response(self.status, self.payload(), self.retry_after)

    @property
    def retry_after(self) -> int | None:
        """Return the seconds of ``Retry-After``; None if it is absent or a date."""
        text = self.header("Retry-After") or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None

    def payload(self, max_bytes: int = MAX_ERROR_BYTES, **json_options: Any) -> object:
        """Return the body as parsed JSON; None if it isn't JSON, breaks off or exceeds ``max_bytes``.

        json_options: keyword arguments of ``json.loads``.
        """
        body = b""
        try:
            for chunk in self.stream():
                body += chunk
                if len(body) > max_bytes:
                    return None
            return json.loads(body, **json_options)
        # Deep nesting exceeds the recursion limit, and Decimal refuses some exponents.
        except (errors.BodyLost, ValueError, ArithmeticError, RecursionError):
            return None


@dataclass(frozen=True)
class Account:
    """The account endpoint's response.

    balance: in micro-credits, fractions of one cut off. answer: the whole JSON object, with fractional
    numbers as text, so that none loses digits.
    """

    balance: int
    answer: dict[str, Any]


class Client:
    """A client for one account at one address. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        transport: httpx.BaseTransport | None = None,
        idle_timeout: float = IDLE_TIMEOUT_SECONDS,
    ) -> None:
        """Set up the client; nothing is sent yet.

        idle_timeout: seconds without a byte, not a deadline for the whole call.
        """
        self._http = httpx.Client(
            base_url=api_base(url),
            auth=(credentials.api_id, credentials.api_secret),
            timeout=httpx.Timeout(idle_timeout, connect=CONNECT_TIMEOUT_SECONDS, pool=None),
            # The server may close a kept-alive connection just as a call is written to it, and that looks
            # the same as a call that was processed and then lost. A fresh connection leaves no such doubt.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"User-Agent": "pixian-web"},
            transport=transport,
            trust_env=False,
            event_hooks={"response": [_drop_bad_location]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def remove_background(self, picture: BinaryIO, name: str, options: Mapping[str, str]) -> Iterator[Answer]:
        """Send one call; enter the context once the headers have arrived, whatever the status.

        options: form fields, as ``Options.form`` writes them. Raises Unreachable if nothing was sent, and
        Unanswered if the request may have been processed but no response came.
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

    def account(self, timeout: float = ACCOUNT_TIMEOUT_SECONDS) -> Account:
        """Fetch the account's state, which is free of charge.

        timeout: seconds without a byte. Raises Unreachable (for 5xx too), SlowDown and AccountRefused, and
        Misdirected for any other response.
        """
        request = self._http.build_request("GET", "account", timeout=timeout)
        try:
            response = self._send(request)
            try:
                answer = Answer(response)
                body = answer.payload(MAX_ACCOUNT_BYTES, parse_float=Decimal, parse_constant=str)
            finally:
                response.close()
        except errors.Unanswered as error:
            # Nothing is charged here, so an unanswered request is as harmless as one that wasn't sent.
            raise errors.Unreachable(str(error)) from error
        if answer.status == OK:
            return _account(body)
        raise _account_error(answer, body)

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Return the response, after following at most one redirect.

        Both requests count as one call, since the redirected one wasn't processed.
        """
        response = self._send_once(request)
        redirected = _redirected_request(request, response)
        if redirected is None:
            return response
        response.close()
        return self._send_once(redirected)

    def _send_once(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise errors.Unreachable(str(error)) from error
        except httpx.HTTPError as error:
            raise errors.Unanswered(str(error) or type(error).__name__) from error


def _redirected_request(request: httpx.Request, response: httpx.Response) -> httpx.Request | None:
    """Return the request that a redirect asks for, or None if it must not be followed.

    It must keep the method (307, 308), nothing may be charged yet, and it must stay at the same scheme,
    host and port: the credentials are meant for no other server.
    """
    redirected = response.next_request
    if redirected is None or response.status_code not in REDIRECTS or "X-Credits-Charged" in response.headers:
        return None
    origins = [(url.scheme, url.host, url.port, url.userinfo) for url in (request.url, redirected.url)]
    return redirected if origins[0] == origins[1] else None


def _drop_bad_location(response: httpx.Response) -> None:
    """Remove a Location header that httpx can't parse.

    httpx would raise an error on it, which looks as if no response had come at all.
    """
    try:
        response.request.url.join(response.headers.get("Location", ""))
    except (httpx.InvalidURL, ValueError):
        del response.headers["Location"]


def _account(body: object) -> Account:
    balance: Any = body.get("credits") if isinstance(body, dict) else None
    # type() rather than isinstance(): True is an int, too.
    if type(balance) in (int, Decimal) and -MAX_CREDITS < balance < MAX_CREDITS:
        as_json = json.loads(json.dumps(body, default=str))
        return Account(int(Decimal(balance) * MICROCREDITS), as_json)
    raise errors.Misdirected(OK, 0, "The account's response can't be read.")


def _account_error(answer: Answer, body: object) -> errors.PixianError:
    error = errors.from_response(answer.status, body)
    match error:
        case errors.ServerFailed() | errors.GatewayTimedOut():
            return errors.Unreachable(str(error))
        case errors.SlowDown() | errors.AccountRefused():
            return error
    return errors.Misdirected(error.status, error.code, error.message)
