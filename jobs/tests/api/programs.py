"""A team's program: its API key, and a client of the site in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.wsgi import get_wsgi_application

from accounts.api_keys import keys
from accounts.models import ApiKey, Scope, Team, User
from conftest import small_png
from jobs.api import requests
from jobs.calls.upstream import Upstream
from jobs.intake import submit
from jobs.intake.submit import Upload
from jobs.models import Job
from jobs.queue.heartbeat import process_name
from pixian.imaging.decode import open_picture
from pixian.protocol.credentials import Credentials

REMOVE = "/api/v2/remove-background"


@dataclass(frozen=True)
class Program:
    http: httpx.Client
    key: ApiKey
    credentials: Credentials

    def call(self, picture: bytes | None = None, **more: Any) -> httpx.Response:
        """Make a multipart call. more: ``fields`` of the form, and what httpx takes."""
        files = {"image": ("photo.png", small_png() if picture is None else picture)}
        return self.http.post(REMOVE, files=files, data=more.pop("fields", {}), **more)

    def account(self) -> httpx.Response:
        return self.http.get("/api/v2/account")


def upload_of(content: bytes, **more: Any) -> Upload:
    file = TemporaryUploadedFile("source", None, 0, None)
    file.write(content)
    file.flush()
    file.size = len(content)
    _image, header = open_picture(file)  # type: ignore[arg-type]
    given: dict[str, Any] = {"request_id": uuid4(), "origin": Job.Origin.API}
    return Upload(file, header, "photo.png", **(given | more))


def begun(key: ApiKey, **more: Any) -> Job:
    """Submit a program's job, whose call isn't made."""
    sent = upload_of(small_png(), **more)
    with sent.file:
        return submit.submit_and_claim(key, sent, process_name(), 0)[0]


@contextmanager
def program_of(team: Team, owner: User, scopes: tuple[Scope, ...] = tuple(Scope)) -> Iterator[Program]:
    key, made = keys.create(team, owner, "shop", scopes=scopes)
    with program_with(made) as http:
        yield Program(http, key, made)


def program_with(credentials: Credentials | None, cookies: dict[str, str] | None = None) -> httpx.Client:
    """Return a client of the site in this process."""
    transport = httpx.WSGITransport(get_wsgi_application())
    auth = (credentials.api_id, credentials.api_secret) if credentials else None
    return httpx.Client(base_url="http://localhost", transport=transport, auth=auth, cookies=cookies)


def reach(monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> None:
    """Send programs' calls there."""
    monkeypatch.setattr(requests, "upstream", lambda: upstream)
