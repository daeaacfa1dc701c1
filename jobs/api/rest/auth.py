"""Into our own API: by a team's key alone, and each call is counted."""

from functools import partial
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest

from accounts.models import ApiKey, Scope
from jobs.api import auth as access
from pixian.server.form import refuse_unstorable

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
    access.count(key)
    refuse_unstorable({name: "".join(map(str, values)) for name, values in request.GET.lists()})
    return key
