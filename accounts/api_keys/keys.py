"""Create, verify and revoke API keys.

Only a hash of the secret is stored. A key is looked up at each call, so revoking takes effect at once in
every process.
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

# In plain SQL, since every call asks this, and building the query would cost more than running it.
FIND = """
SELECT api_key.*, team.name AS team_name, team.slug AS team_slug, team.storage_full AS team_storage_full,
    owner.is_active AS owner_is_active, owner.email AS owner_email,
    (SELECT role FROM accounts_membership WHERE team_id = api_key.team_id AND user_id = api_key.owner_id)
    AS owners_role
FROM accounts_apikey api_key
JOIN accounts_team team ON team.id = api_key.team_id JOIN accounts_user owner ON owner.id = api_key.owner_id
WHERE api_key.api_id = %s
"""
# What FIND reads of the two, in the order of their models' fields; the rest is read when it is asked for.
TEAM, OWNER = ["id", "name", "slug", "storage_full"], ["id", "is_active", "email"]


class KeyRefusedError(Exception):
    """No usable key has these credentials."""


class IdUnknownError(KeyRefusedError):
    """No key has this Id."""


class SecretWrongError(KeyRefusedError):
    """A key has this Id, but another secret."""


class KeyDisabledError(KeyRefusedError):
    """The key was revoked or has expired, or its owner has left. Only a client with the secret is told."""


def create(
    team: Team,
    owner: User,
    name: str,
    *,
    scopes: Iterable[Scope] = ALL_SCOPES,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, Credentials]:
    """Create a key that spends on its owner's behalf; return it with its Id and secret.

    The secret isn't stored, so the caller shows it now or never.
    """
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
    """Return the usable key with these credentials, with its team and owner; raise a KeyRefusedError."""
    key = next(iter(ApiKey.objects.raw(FIND, [api_id])), None)
    # Compare for an unknown Id too, so that the response time doesn't tell which Ids exist.
    known = key.secret_sha256 if key else ""
    right = secrets.compare_digest(_hashed(secret), known)
    if key is None:
        raise IdUnknownError(api_id)
    if not right:
        raise SecretWrongError(api_id)
    row = vars(key)
    key.team = Team.from_db(
        key._state.db,
        TEAM,
        [key.team_id, row["team_name"], row["team_slug"], bool(row["team_storage_full"])],
    )
    key.owner = User.from_db(
        key._state.db, OWNER, [key.owner_id, bool(row["owner_is_active"]), row["owner_email"]]
    )
    if not (key.is_usable and key.owner.is_active and key.owners_role):
        raise KeyDisabledError(api_id)
    return key


def note_use(key: ApiKey) -> None:
    """Record that the key was used, at most once a minute."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at >= USE_RECORDED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


def revoke(key: ApiKey, by: User) -> bool:
    """Revoke the key for good; return False if it was revoked before."""
    unrevoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
    return bool(unrevoked.update(revoked_at=timezone.now(), revoked_by=by))


def revoke_all_of(owner: User, team: Team, by: User) -> int:
    """Revoke the keys of a member who leaves the team; return how many were usable until now."""
    theirs = ApiKey.objects.filter(owner=owner, team=team, revoked_at=None)
    return theirs.update(revoked_at=timezone.now(), revoked_by=by)


def visible_to(user: User, team: Team, *, all_of_team: bool) -> QuerySet[ApiKey]:
    """Return the user's own keys, or all of the team's, with their owners' roles.

    Unrevoked ones come first, then the newest.
    """
    whose = Q() if all_of_team else Q(owner=user)
    keys = ApiKey.objects.filter(whose, team=team).with_owners_role()
    return keys.select_related("owner", "revoked_by", "allowance").order_by("revoked_at", "-pk")


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
