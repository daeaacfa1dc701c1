"""A team's program: a key, and a client of the site as it stands in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.core.wsgi import get_wsgi_application

from accounts import keys
from accounts.models import ApiKey, Scope, Team, User
from conftest import small_png
from jobs.api import calls
from jobs.upstream import Upstream
from pixian.credentials import Credentials

REMOVE = "/api/v2/remove-background"


@dataclass(frozen=True)
class Program:
    http: httpx.Client
    key: ApiKey
    credentials: Credentials

    def call(self, picture: bytes | None = None, **more: Any) -> httpx.Response:
        """A multipart call. ``fields``: form fields; ``headers``: of the request."""
        files = {"image": ("photo.png", small_png() if picture is None else picture)}
        return self.http.post(REMOVE, files=files, data=more.pop("fields", {}), **more)

    def account(self) -> httpx.Response:
        return self.http.get("/api/v2/account")


@contextmanager
def program_of(team: Team, owner: User, scopes: tuple[Scope, ...] = tuple(Scope)) -> Iterator[Program]:
    key, made = keys.create(team, owner, "shop", scopes=scopes)
    transport = httpx.WSGITransport(get_wsgi_application())
    auth = (made.api_id, made.api_secret)
    with httpx.Client(base_url="http://localhost", transport=transport, auth=auth) as http:
        yield Program(http, key, made)


def reach(monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> None:
    """Programs' calls go there."""
    monkeypatch.setattr(calls, "upstream", lambda: upstream)
