"""An identity provider on loopback that misbehaves on demand, and a person who signs in through it.

``tests/site/test_oidc.py`` signs in through a real one; no real one sends a wrong audience.
"""

import hashlib
import html
import json
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from pixian_web import oidc

CLIENT_ID, SECRET = "pixian-web", "the secret of a test, of 32 bytes"
DORA = {"sub": "dora-1", "email": "dora@example.org", "name": "Dora Duval", "groups": []}


class Provider:
    """claims: the person's. token, id_token, userinfo, discovery: what is changed in it; None leaves it out.

    status, location: of every answer. text: sent in place of each. slow: seconds before each, and drip:
    between its bytes.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.claims: dict[str, Any] = dict(DORA)
        self.token: dict[str, Any] = {}
        self.id_token: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.status, self.slow, self.drip = 200, 0.0, 0.0
        self.location = ""
        self.text: bytes | None = None
        self.asked: list[str] = []
        self.request: dict[str, str] = {}

    def authorize(self, address: str, **answer: str) -> dict[str, str]:
        """Do what the person's browser does at the provider; return what it brings back."""
        assert address.startswith(f"{self.issuer}/authorize?")
        self.request = dict(parse_qsl(urlsplit(address).query))
        return {"state": self.request["state"]} | (answer or {"code": "the-code"})

    def answer(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            names = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
            ends = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in names.items()}
            return whole({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **ends} | self.discovery)
        if path == "/userinfo":
            return whole(self.claims | self.userinfo)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert urlsafe_b64encode(digest).decode().rstrip("=") == self.request["code_challenge"]
        assert self.request["code_challenge_method"] == "S256"
        assert form["redirect_uri"] == self.request["redirect_uri"]
        of_token = {"iss": self.issuer, "aud": CLIENT_ID, "exp": int(time.time()) + 300}
        of_token |= {"nonce": self.request["nonce"], "sub": self.claims["sub"]}
        id_token = jwt.encode(whole(of_token | self.id_token), SECRET)
        return whole({"access_token": "let-me-in", "id_token": id_token, "token_type": "Bearer"} | self.token)


def whole(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if value is not None}


@contextmanager
def serving() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = dict(parse_qsl(self.rfile.read(length).decode()))
            body = json.dumps(provider.answer(self.path, form)).encode()
            body = body if provider.text is None else provider.text
            time.sleep(provider.slow)
            self.send_response(provider.status)
            if provider.location:
                self.send_header("Location", provider.location)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for byte in body if provider.drip else [body]:
                self.wfile.write(bytes([byte]) if isinstance(byte, int) else byte)
                self.wfile.flush()
                time.sleep(provider.drip)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the site hung up
                super().handle()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Provider(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield provider
        server.shutdown()
        thread.join()


def configure(
    settings: Settings, issuer: str, *, trust: bool = False, team: str = "", groups: str = ""
) -> None:
    settings.OIDC_ISSUER, settings.OIDC_NAME = issuer, "Example SSO"
    settings.OIDC_TEAM, settings.OIDC_GROUPS = team, oidc.groups(groups)
    settings.OIDC_TRUST_EMAIL = trust
    scopes = ["openid", "email"]
    settings.SOCIALACCOUNT_PROVIDERS = oidc.providers(issuer, CLIENT_ID, SECRET, scopes, mapped=True)


def leave(client: Client, **form: str) -> str:
    """Press the button; return the address at the provider that the page leads to."""
    page = client.post(reverse("oidc_login"), form)
    assert page.status_code == 200, page.headers
    refresh = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.content.decode())
    assert refresh
    return html.unescape(refresh.group(1))


def sign_in(provider: Provider, client: Client, **form: str) -> Any:
    """Sign in through the provider, and return the response to the callback."""
    return client.get(reverse("oidc_callback"), provider.authorize(leave(client, **form)))


def said(client: Client, response: Any) -> str:
    """Return what the page says that a response leads to."""
    assert response.status_code == 302
    return html.unescape(client.get(response["Location"]).content.decode())
