"""Store sessions so that a database dump doesn't let its reader take one over.

Only a hash of a session's key, which is in the browser's cookie, is stored. Its data is encrypted, because
allauth keeps secrets there for a while, such as that of an authenticator app before it is confirmed.
"""

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import OperationalError
from django.utils import timezone

from accounts.auth.encryption import DecryptionError, decrypt, encrypt

LENGTH = 40
"""The column's length. 40 hexadecimal digits of a hash are 160 bits; a key has 165."""


class SessionStore(db.SessionStore):
    def load(self) -> dict[str, Any]:
        rows = self.model.objects.filter(expire_date__gt=timezone.now())
        row = rows.filter(session_key=_hashed(self.session_key or "")).first()
        if row is None:
            self._session_key = None  # don't adopt a key that a client made up
            return {}
        return self.decode(row.session_data)

    def exists(self, session_key: str) -> bool:
        return super().exists(_hashed(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = _hashed(row.session_key)
        return row

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - as Django's
        try:
            super().save(must_create)
        except UpdateError as error:
            # Django takes any failure for a session that was deleted meanwhile, and then answers 400.
            if isinstance(error.__context__, OperationalError):
                raise error.__context__ from None
            raise

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            super().delete(_hashed(key))

    def encode(self, session_dict: dict[str, Any]) -> str:
        return encrypt(super().encode(session_dict))

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        try:
            return super().decode(decrypt(str(session_data)))
        except DecryptionError:
            return {}

    # The async methods of ``db.SessionStore`` would bypass the hash; these run the ones above.
    aload, aexists, acreate = SessionBase.aload, SessionBase.aexists, SessionBase.acreate
    asave, adelete = SessionBase.asave, SessionBase.adelete


def _hashed(session_key: str) -> str:
    return hashlib.sha256(session_key.encode(errors="surrogatepass")).hexdigest()[:LENGTH]
