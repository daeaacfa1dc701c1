"""Encrypt secrets that are needed again, so that hashing them isn't an option.

The key is derived from SECRET_KEY, which isn't in the database.
"""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class DecryptionError(Exception):
    """The text wasn't encrypted with this SECRET_KEY."""


def encrypt(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    try:
        return _fernet().decrypt(encrypted.encode()).decode()
    except InvalidToken as error:
        raise DecryptionError from error


def _fernet() -> Fernet:
    key = salted_hmac("accounts.auth.encryption", "", algorithm="sha256").digest()
    return Fernet(urlsafe_b64encode(key))
