"""Let API keys into our own JSON API, each call counted."""

from functools import partial
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest

from accounts.models import ApiKey, Scope
from jobs.api.auth import authenticate
from pixian.server.form import refuse_unstorable

SCHEME = "basic"


class KeyRequest(WSGIRequest):
    """A request as a route gets it, with the key it was sent with."""

    auth: ApiKey


def requires(scope: Scope, **described: Any) -> dict[str, Any]:
    """Return the arguments of a route's declaration that ask for a key with this scope.

    described: what the OpenAPI document says about the route besides.
    """
    return {
        "auth": partial(_authenticate, scope),
        "openapi_extra": {"security": [{SCHEME: [scope.value]}], **described},
    }


def _authenticate(scope: Scope, request: HttpRequest) -> ApiKey:
    key = authenticate(request, scope)
    refuse_unstorable({name: "".join(map(str, values)) for name, values in request.GET.lists()})
    return key
