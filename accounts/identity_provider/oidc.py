"""Speak OpenID Connect with the organisation's identity provider, more strictly than allauth does.

allauth checks the ID token's issuer, audience and expiry, the state and, by PKCE, the code. The token comes
from the provider itself over TLS, so its signature adds nothing (OpenID Connect Core, 3.1.3.7). This module
adds the nonce, and that each document is about the same issuer and the same person.
"""

import re
from typing import Any

from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.crypto import constant_time_compare, get_random_string, salted_hmac

from accounts.identity_provider.secure_url import is_secure
from accounts.models import normalize_address

Claims = dict[str, Any]

STATE_LENGTH = 32
MAX_SUBJECT = 191
"""allauth's column for it. The standard allows 255; providers use a UUID or so."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What JSON may contain, and a database refuses; SQLite only some of it, but one rule is for both."""

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")


class OidcClient(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """Ask the provider, and check what it says. Raises OAuth2Error, or ``requests.RequestException``."""

    @property
    def openid_config(self) -> Claims:
        config: Claims = super().openid_config
        issuer = settings.OIDC_ISSUER
        if str(config["issuer"]).rstrip("/") != issuer:
            raise OAuth2Error(f"the provider calls itself {config['issuer']!r}, and not {issuer!r}")
        for name in ENDPOINTS:
            if (url := config.get(name)) and not is_secure(url):
                raise OAuth2Error(f"its {name} is {url!r}, which isn't HTTPS")
        return config

    @property
    def basic_auth(self) -> bool:
        methods = self.openid_config.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return "client_secret_post" not in methods

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:  # noqa: ARG002
        return callback_url()

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> SocialLogin:
        claims = self._verified_claims(request, app, kwargs["response"].get("id_token") or "")
        if self.openid_config.get("userinfo_endpoint"):
            userinfo = self._fetch_user_info(token.token)
            if userinfo["sub"] != claims["sub"]:
                raise OAuth2Error("the ID token and the userinfo endpoint are about two people")
            claims |= userinfo
        login = self.get_provider().sociallogin_from_response(request, {"userinfo": claims})
        user, account = login.user, login.account
        kept = (account.uid, user.first_name, user.last_name, *account.extra_data["groups"])
        if any(UNSTORABLE.search(text) for text in kept):
            raise OAuth2Error("the subject, the name or a group contains NUL or half a character")
        return login

    def _verified_claims(self, request: HttpRequest, app: Any, id_token: str) -> Claims:
        claims: Claims = self._decode_id_token(app, id_token)
        if not constant_time_compare(str(claims.get("nonce")), nonce_of(request.GET.get("state", ""))):
            raise OAuth2Error("the ID token's nonce is another request's")
        if "exp" not in claims or claims.get("azp", app.client_id) != app.client_id:
            raise OAuth2Error("the ID token doesn't expire, or is meant for another client")
        if not 0 < len(str(claims["sub"])) <= MAX_SUBJECT:
            raise OAuth2Error(f"the ID token's subject doesn't have 1 to {MAX_SUBJECT} characters")
        return claims


class IdentityProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """The organisation's provider. Of what it says about a person, only the groups are stored."""

    oauth2_adapter_class = OidcClient

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = settings.OIDC_NAME

    def begin(self, request: HttpRequest, process: str, next_url: str | None) -> HttpResponse:
        """Redirect to the provider; raises what ``OidcClient`` does."""
        state = get_random_string(STATE_LENGTH)
        response: HttpResponse = self.redirect(
            request, process, next_url, state_id=state, auth_params={"nonce": nonce_of(state)}
        )
        return response

    def extract_common_fields(self, data: Claims) -> Claims:
        fields: Claims = super().extract_common_fields(data)
        return fields | {"email": address_in(data["userinfo"])}

    def extract_email_addresses(self, data: Claims) -> list[Any]:
        """Return the address, verified only if the operator trusts the provider and it says so.

        allauth would take the text "false" for true.
        """
        claim = data["userinfo"].get("email_verified")
        verified = settings.OIDC_TRUST_EMAIL and (claim is True or claim == "true")
        addresses: list[Any] = super().extract_email_addresses(data)
        for address in addresses:
            address.email, address.verified = address_in(data["userinfo"]), verified
        return addresses

    def extract_extra_data(self, data: Claims) -> Claims:
        return {"groups": groups_in(data["userinfo"])}


def callback_url() -> str:
    """Return the address that the provider sends people back to, whatever Host they came by."""
    return f"{settings.PUBLIC_URL}{reverse('oidc_callback')}"


def nonce_of(state: str) -> str:
    """Return the nonce of a request, which only this site can tell from its state."""
    return salted_hmac("accounts.identity_provider.oidc.nonce", state, algorithm="sha256").hexdigest()


def address_in(claims: Claims) -> str:
    email = claims.get("email")
    return normalize_address(email) if isinstance(email, str) else ""


def groups_in(claims: Claims) -> list[str]:
    """Return the names of the person's groups; a provider may leave the claim out, or send a single text."""
    groups = claims.get(settings.OIDC_GROUPS_CLAIM, [])
    names = [groups] if isinstance(groups, str) else groups
    return [name for name in names if isinstance(name, str)]
