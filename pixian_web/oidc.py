"""Check the settings of the organisation's identity provider, and translate them for allauth."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from accounts.identity_provider.secure_url import is_secure

ROLES = "viewer|member|manager"
"""An owner is made by people: the provider's administrators can't take a team over."""

# A group's name may hold a comma or an equals sign, as in LDAP's "cn=staff,ou=shop".
GROUP = re.compile(rf"\s*(.+?)\s*=\s*([-\w]+):({ROLES})\s*(?:,|$)", re.ASCII)

PROVIDER = "accounts.identity_provider.oidc.IdentityProvider"

MAX_ISSUER = 200
"""allauth's column for it."""


def issuer(url: str) -> str:
    """Return the issuer without a trailing slash; raise ImproperlyConfigured for one that isn't safe."""
    if not url:
        return ""
    parts = urlsplit(url)
    if not is_secure(url):
        raise ImproperlyConfigured("OIDC_ISSUER must begin with https://, except on this machine")
    if parts.query or parts.fragment or parts.username is not None or len(url) > MAX_ISSUER:
        raise ImproperlyConfigured(
            f"OIDC_ISSUER must be like https://login.example.org/realm, of {MAX_ISSUER} characters at most"
        )
    return url.rstrip("/")


def groups(text: str) -> dict[str, list[tuple[str, str]]]:
    """Parse ``group=team:role, …`` into the teams' slugs and roles of each group."""
    mapping: dict[str, list[tuple[str, str]]] = {}
    position = 0
    while position < len(text.rstrip()):
        entry = GROUP.match(text, position)
        if entry is None:
            raise ImproperlyConfigured(
                f"OIDC_GROUPS is {text!r}; it must be like staff=shop:member, leads=shop:manager, "
                f"with the role {ROLES.replace('|', ', ')}"
            )
        group, team, role = entry.groups()
        mapping.setdefault(group, []).append((team, role))
        position = entry.end()
    return mapping


def providers(issuer: str, client_id: str, secret: str, scopes: list[str], *, mapped: bool) -> dict[str, Any]:
    """Return SOCIALACCOUNT_PROVIDERS. mapped: a team or a group is set, so someone can come in."""
    provider: dict[str, Any] = {
        "provider_class": "accounts.identity_provider.oidc.IdentityProvider",
        "APPS": [],
    }
    if not issuer:
        return {"openid_connect": provider}
    if not (client_id and secret):
        raise ImproperlyConfigured(
            "OIDC_ISSUER is set, so OIDC_CLIENT_ID and OIDC_CLIENT_SECRET are needed too"
        )
    if not mapped:
        raise ImproperlyConfigured("OIDC_ISSUER needs OIDC_TEAM or OIDC_GROUPS too")
    if "openid" not in scopes:
        raise ImproperlyConfigured("OIDC_SCOPES must contain openid")
    # Accounts are stored under the issuer: the same subject of another provider is another person.
    app = {"provider_id": issuer, "client_id": client_id, "secret": secret, "name": ""}
    settings = {"server_url": issuer, "scope": scopes, "oauth_pkce_enabled": True}
    provider["APPS"] = [app | {"settings": settings}]
    return {"openid_connect": provider}
