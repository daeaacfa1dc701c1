"""Into our own API: by a team's key alone, and each call is counted."""

from functools import partial
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.db import transaction
from django.http import HttpRequest

from accounts import rates
from accounts.models import ApiKey, Scope
from accounts.rates import TooFastError
from jobs.api import access

SCHEME = "basic"


class KeyRequest(WSGIRequest):
    """What a route is given: a request whose key was recognised."""

    auth: ApiKey


def reads(scope: Scope, **told: Any) -> dict[str, Any]:
    """The part of a route's declaration that says whom it lets in. told: what the document says besides."""
    return {
        "auth": partial(_admitted, scope),
        "openapi_extra": {"security": [{SCHEME: [scope.value]}], **told},
    }


def _admitted(scope: Scope, request: HttpRequest) -> ApiKey:
    key = access.key_of(request, scope)
    try:
        with transaction.atomic():  # of a call that the team's bound refuses, the key's counts nothing
            for bound in access.bounds(key):
                rates.take(bound)
    except TooFastError as error:
        raise access.too_fast(error) from error
    return key
