"""The scripted upstream with an account whose balance follows what it has charged."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from pytest_django import Settings

from jobs.tests.upstream import CREDENTIALS, Handler, Server, Step, serving

OPENING = Decimal(1000)


class AccountHandler(Handler):
    def do_GET(self) -> None:  # noqa: N802
        balance = OPENING - sum(map(Decimal, self.server.charged))
        body = b'{"credits": %s, "creditPack": "none", "state": "active"}' % str(balance).encode()
        self.send_response(self.server.account_status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def charged_in_silence(credits_: str) -> Step:
    """Charged, and the line is cut before a word of it is said."""

    def step(handler: Handler) -> None:
        handler.server.charged.append(credits_)
        handler.hang_up()

    return step


@pytest.fixture
def paid_server(settings: Settings) -> Iterator[Server]:
    """The upstream of the settings, for commands that connect by themselves."""
    with serving() as server:
        server.RequestHandlerClass = AccountHandler
        settings.PIXIAN_EMBEDDED = False
        settings.PIXIAN_API_URL = server.url
        settings.PIXIAN_API_ID, settings.PIXIAN_API_SECRET = CREDENTIALS.api_id, CREDENTIALS.api_secret
        yield server
