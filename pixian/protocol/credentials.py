"""An API Id and secret in the contract's shape, and how they travel in a header."""

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
        """New ones: ``px`` + 13 characters, and 260 random bits as 52 characters."""
        return cls(
            "px" + "".join(secrets.choice(ID_ALPHABET) for _ in range(13)),
            "".join(secrets.choice(SECRET_ALPHABET) for _ in range(52)),
        )

    @classmethod
    def from_header(cls, authorization: str) -> Self | None:
        """What a ``Basic`` header carries; None where it is anything else.

        RFC 7617 allows no control characters, and PostgreSQL couldn't look for an Id with a NUL.
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
        """What the vendor shows as the API key: base64 of ``id:secret``."""
        return base64.b64encode(f"{self.api_id}:{self.api_secret}".encode()).decode()

    @property
    def authorization(self) -> str:
        return f"Basic {self.api_key}"


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret that ``path`` holds, made on first use and readable by its owner alone.

    Web, worker and engine may all ask at once on a first start. Each writes a file of its own and
    links it into place, which succeeds for one of them; all then read the same text.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(make())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
