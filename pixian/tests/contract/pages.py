"""A web server of the test's own, for ``image.url``."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pixian.tests.contract.service import Web


class Pages(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        status, kind, body = self.server.pages.get(self.path, (404, "text/plain", b"nothing"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.pages = {}
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    yield Web(f"http://127.0.0.1:{server.server_address[1]}", server.pages)
    server.shutdown()
    server.server_close()
