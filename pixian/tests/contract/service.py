"""What the suite needs to know of a service, and the pictures it sends."""

import io
from dataclasses import dataclass
from typing import Any

import httpx
from PIL import Image

from pixian.protocol.credentials import Credentials

PATH = "/api/v2/remove-background"


@dataclass(frozen=True)
class Service:
    """A running service.

    http: a client whose base URL is the host.
    picture_url: an address outside, and what is served there, is up to the test's own web server.
    """

    http: httpx.Client
    credentials: Credentials
    web: "Web"

    def call(self, picture: bytes | None = None, **fields: str) -> httpx.Response:
        """A multipart call as the vendor's samples make it; ``result_margin`` is ``result.margin``."""
        files = {"image": ("photo.jpg", picture)} if picture is not None else {}
        return self.raw(files=files or NO_FILE, data={dotted(name): value for name, value in fields.items()})

    def raw(self, **request: Any) -> httpx.Response:
        """A POST with the right key and any body."""
        auth = (self.credentials.api_id, self.credentials.api_secret)
        return self.http.post(PATH, **{"auth": auth, **request})


@dataclass
class Web:
    """A web server of the test's own: what it serves, by path."""

    url: str
    pages: dict[str, tuple[int, str, bytes]]


# httpx sends a form as multipart only where there is a file; an unknown part is ignored by the contract.
NO_FILE = {"unknown": ("unknown", b"")}

DOTTED = ("image_url", "image_base64", "background_color", "output_format", "output_jpeg_quality")


def dotted(name: str) -> str:
    """``result_crop_to_foreground`` → ``result.crop_to_foreground``."""
    head, _, tail = name.partition("_")
    return f"{head}.{tail}" if name in DOTTED or head == "result" else name


def encoded(image: Image.Image, kind: str, **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def decoded(answer: httpx.Response) -> Image.Image:
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return image


def error_of(answer: httpx.Response) -> tuple[int, int]:
    """Status and code, after checking the envelope."""
    assert answer.headers["Content-Type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"status", "code", "message"}
    assert error["status"] == answer.status_code
    assert error["message"]
    assert "X-Credits-Charged" not in answer.headers
    return answer.status_code, error["code"]
