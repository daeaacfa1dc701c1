"""API keys: made, shown once, recognised, revoked.

Of a secret only its hash is kept. A key is looked up at each call, so that revoking works at once in every
process.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import ApiKey, Scope, Team, User
from pixian.protocol.credentials import Credentials

USE_RECORDED_EVERY = timedelta(minutes=1)
ALL_SCOPES = tuple(Scope)


class KeyRefusedError(Exception):
    """The credentials open nothing."""


class IdUnknownError(KeyRefusedError):
    """No key has this Id."""


class SecretWrongError(KeyRefusedError):
    """The Id is some key's, the secret isn't its."""


class KeyDisabledError(KeyRefusedError):
    """The key was revoked or has expired, or its owner has left. Said only to whoever knows the secret."""


def create(
    team: Team,
    owner: User,
    name: str,
    *,
    scopes: Iterable[Scope] = ALL_SCOPES,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, Credentials]:
    """A key that spends on its owner's behalf, and its Id and secret, which the caller shows once: the secret
    isn't kept."""
    made = Credentials.generate()
    key = ApiKey.objects.create(
        team=team,
        owner=owner,
        name=name,
        api_id=made.api_id,
        secret_sha256=_hashed(made.api_secret),
        scopes=" ".join(scopes),
        expires_at=expires_at,
    )
    return key, made


def find(api_id: str, secret: str) -> ApiKey:
    """The usable key that these credentials are, with its team and owner; raises KeyRefusedErrors."""
    key = ApiKey.objects.with_owners_role().select_related("team", "owner").filter(api_id=api_id).first()
    # The hash is compared for an unknown Id too, so that the time doesn't tell which Ids exist.
    known = key.secret_sha256 if key else ""
    right = secrets.compare_digest(_hashed(secret), known)
    if key is None:
        raise IdUnknownError(api_id)
    if not right:
        raise SecretWrongError(api_id)
    if not (key.is_usable and key.owner.is_active and key.owners_role):
        raise KeyDisabledError(api_id)
    return key


def note_use(key: ApiKey) -> None:
    """Remember that it was used, to the minute."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at >= USE_RECORDED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


def revoke(key: ApiKey, by: User) -> bool:
    """For good, from now on; False where it was revoked before."""
    unrevoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
    return bool(unrevoked.update(revoked_at=timezone.now(), revoked_by=by))


def revoke_all_of(owner: User, team: Team, by: User) -> int:
    """Whoever leaves takes no working key along."""
    theirs = ApiKey.objects.filter(owner=owner, team=team, revoked_at=None)
    return theirs.update(revoked_at=timezone.now(), revoked_by=by)


def visible_to(user: User, team: Team, *, all_of_team: bool) -> QuerySet[ApiKey]:
    """Their own keys, or all of the team's; usable ones first, then the newest."""
    whose = Q() if all_of_team else Q(owner=user)
    keys = ApiKey.objects.filter(whose, team=team).select_related("owner", "revoked_by", "allowance")
    return keys.order_by("revoked_at", "-pk")


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
