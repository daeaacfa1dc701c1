"""What the database keeps of secrets that are needed again, so that a hash won't do.

They are encrypted with a key made from SECRET_KEY, which the database hasn't got.
"""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


class DecryptionError(Exception):
    """It was sealed with another SECRET_KEY, or never."""


def encrypt(text: str) -> str:
    return _box().encrypt(text.encode()).decode()


def decrypt(sealed: str) -> str:
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise DecryptionError from error


def _box() -> Fernet:
    key = salted_hmac("accounts.auth.encryption", "", algorithm="sha256").digest()
    return Fernet(urlsafe_b64encode(key))
