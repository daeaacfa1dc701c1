"""Log-ins in the database, in such a way that whoever reads a dump of it can't take one over.

Of a session's key, which its browser's cookie holds, only a hash is kept. Its data is sealed, since allauth
keeps secrets there on the way, such as an authenticator app's before it is confirmed.
"""

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

from accounts.auth.encryption import DecryptionError, decrypt, encrypt

LENGTH = 40
"""Of the column. So many hexadecimal digits of a hash are 160 bits; a key has 165."""


class SessionStore(db.SessionStore):
    def load(self) -> dict[str, Any]:
        rows = self.model.objects.filter(expire_date__gt=timezone.now())
        row = rows.filter(session_key=_hashed(self.session_key or "")).first()
        if row is None:
            self._session_key = None  # a key that somebody made up isn't taken over
            return {}
        return self.decode(row.session_data)

    def exists(self, session_key: str) -> bool:
        return super().exists(_hashed(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = _hashed(row.session_key)
        return row

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

    # Django's own would go past the hash.
    aload, aexists, acreate = SessionBase.aload, SessionBase.aexists, SessionBase.acreate
    asave, adelete = SessionBase.asave, SessionBase.adelete


def _hashed(session_key: str) -> str:
    return hashlib.sha256(session_key.encode(errors="surrogatepass")).hexdigest()[:LENGTH]
