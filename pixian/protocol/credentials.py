"""API credentials: an Id and a secret in the contract's format, sent as HTTP Basic authentication."""

import base64
import os
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pixian.protocol import base64_text

ID_ALPHABET = string.ascii_lowercase + string.digits
SECRET_ALPHABET = string.digits + string.ascii_lowercase[:22]


@dataclass(frozen=True)
class Credentials:
    """HTTP Basic credentials: the Id is the user, the secret the password."""

    api_id: str
    api_secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Return new random credentials: ``px`` + 13 characters, and 260 random bits as 52 characters."""
        return cls(
            "px" + "".join(secrets.choice(ID_ALPHABET) for _ in range(13)),
            "".join(secrets.choice(SECRET_ALPHABET) for _ in range(52)),
        )

    @classmethod
    def from_header(cls, authorization: str) -> Self | None:
        """Return the credentials in an ``Authorization: Basic`` header, or None if it holds none.

        Control characters are refused: RFC 7617 forbids them, and PostgreSQL fails on a query with a NUL.
        """
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            api_id, colon, api_secret = base64_text.decode(encoded).decode().partition(":")
        except ValueError:  # no base64, not even ASCII, or no UTF-8 inside
            return None
        return cls(api_id, api_secret) if colon and (api_id + api_secret).isprintable() else None

    @property
    def api_key(self) -> str:
        """Return the API key as the vendor displays it: base64 of ``id:secret``."""
        return base64.b64encode(f"{self.api_id}:{self.api_secret}".encode()).decode()

    @property
    def authorization(self) -> str:
        return f"Basic {self.api_key}"


def load_or_create_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the secret stored at ``path``; create it with ``make`` on first use, readable by its owner only.

    Safe if several processes ask at once, as web, worker and engine do on a first start: all of them
    return the same secret.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(make())
        # link() fails if the target exists, unlike rename(): the first process wins, and nobody ever
        # reads a half-written file.
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
