"""A phone with an authenticator app, for tests."""

import base64
import hmac
import time

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP

from accounts.models import User

SECRET = base64.b32encode(b"twenty bytes of salt").decode()
PERIOD_SECONDS, DIGITS = 30, 6


def code_of(secret: str, later: int = 0) -> str:
    """Return what the app shows now, or this many periods later (RFC 6238)."""
    counter = int(time.time()) // PERIOD_SECONDS + later
    mac = hmac.digest(base64.b32decode(secret), counter.to_bytes(8, "big"), "sha1")
    start = mac[-1] & 15
    number = int.from_bytes(mac[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def with_app(user: User) -> Authenticator:
    """Set up an app that knows SECRET for the user."""
    made: Authenticator = TOTP.activate(user, SECRET).instance
    return made
