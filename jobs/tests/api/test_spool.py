"""A picture is written to the disk once: the file that it is received in is the one that is stored."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx
import pytest
from pytest_django import Settings

from conftest import small_png
from jobs.api import requests
from jobs.models import Job
from jobs.tests.api.programs import REMOVE, Program
from jobs.tests.api.test_pixian import stored

pytestmark = pytest.mark.both_databases

BASE64 = base64.b64encode(small_png()).decode()


def as_file(program: Program) -> httpx.Response:
    return program.call()


def as_text(program: Program) -> httpx.Response:
    return program.http.post(REMOVE, data={"image.base64": BASE64})


def by_the_drop_in(program: Program) -> httpx.Response:
    return program.http.post("/v1.0/removebg", files={"image_file": ("photo.png", small_png())})


def as_json(program: Program) -> httpx.Response:
    return program.http.post("/v1.0/removebg", json={"image_file_b64": BASE64})


@pytest.mark.parametrize("call", [as_file, as_text, by_the_drop_in, as_json])
def test_the_file_received_is_the_file_stored(
    program: Program,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[Program], httpx.Response],
) -> None:
    received: list[int] = []

    def open_and_remember() -> IO[bytes]:
        file = open_file()
        received.append(os.fstat(file.fileno()).st_ino)
        return file

    open_file = requests.open_picture_file
    monkeypatch.setattr(requests, "open_picture_file", open_and_remember)
    assert call(program).status_code == 200
    source = Job.objects.get().source
    assert received == [Path(source.path).stat().st_ino]
    with source.open() as file:
        assert file.read() == small_png()
    assert len(stored(settings)) == 2  # source and result, and nothing in the spool
