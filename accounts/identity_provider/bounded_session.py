"""Ask the identity provider over HTTP within bounds, since a user and a thread of the site wait for it."""

from time import monotonic
from typing import Any

import requests
import urllib3

CONNECT_SECONDS = 4
SILENT_SECONDS = 5
WHOLE_SECONDS = 8
"""Until the last byte of a response; signing in takes three of them at most."""

MAX_BYTES = 1_000_000
CHUNK_BYTES = 65_536


class BoundedSession(requests.Session):
    """A session whose responses end in time, aren't long, and come from the address that was asked.

    Every failure is a ``requests.RequestException``.
    """

    def get_redirect_target(self, _resp: requests.Response) -> None:
        """Follow no redirect: one could send the client's secret or a token elsewhere, or to plain HTTP."""

    def request(self, method: str, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        deadline = monotonic() + WHOLE_SECONDS
        bounds = {"stream": True, "timeout": (CONNECT_SECONDS, SILENT_SECONDS)}
        response = super().request(method, url, **options | bounds)
        with response:
            if response.is_redirect:
                raise requests.TooManyRedirects(f"{url!r} redirects to {response.headers['Location']!r}")
            # requests has no deadline for a whole body, of which each byte may take SILENT_SECONDS.
            response._content = _body(response, deadline)
        return response


def _body(response: requests.Response, deadline: float) -> bytes:
    body = b""
    try:
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > MAX_BYTES:
                raise requests.RequestException(f"the response has more than {MAX_BYTES} bytes")
            if monotonic() > deadline:
                raise requests.Timeout(f"the response took more than {WHOLE_SECONDS} seconds")
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error
    return body
