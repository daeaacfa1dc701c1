"""Sign webhook requests as Standard Webhooks does, whose libraries verify them in most languages.

The signature covers the event's id and the time beside the raw body, so neither can be exchanged. After a
rotation requests carry a signature by the old secret too for a day, so that a receiver can change over.
"""

import base64
import hashlib
import hmac
import secrets
import time

from accounts.auth import encryption
from accounts.auth.encryption import DecryptionError

__all__ = ["DecryptionError"]

PREFIX = "whsec_"
SECRET_BYTES = 32
OLD_ONE_LASTS_SECONDS = 24 * 60 * 60


def new_secret() -> str:
    """Return a secret as its receiver is shown it: 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def stored(secret: str) -> str:
    """Return the text to store for a secret: it is needed again, so it is encrypted."""
    return encryption.encrypt(secret)


def rotated(encrypted: str, secret: str) -> str:
    """Return the text to store for a new secret that replaces another, which is valid for another day."""
    try:
        old = encryption.decrypt(encrypted).split()[0]
    except DecryptionError:
        return stored(secret)
    return encryption.encrypt(f"{secret} {old} {_now() + OLD_ONE_LASTS_SECONDS}")


def headers(encrypted: str, event_id: str, body: bytes) -> dict[str, str]:
    """Return the headers of a request; raise DecryptionError if the secret can't be read any more."""
    moment = _now()
    signed = f"{event_id}.{moment}.".encode() + body
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in _valid(encrypted, moment)),
    }


def _valid(encrypted: str, moment: int) -> list[str]:
    match encryption.decrypt(encrypted).split():
        case [secret, old, until] if int(until) > moment:
            return [secret, old]
        case [secret, *_]:
            return [secret]
    raise DecryptionError


def _now() -> int:
    return int(time.time())


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
