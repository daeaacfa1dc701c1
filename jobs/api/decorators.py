"""A decorator for every view of the API: open to any origin, with errors in the contract's envelope."""

import json
from collections.abc import Callable
from functools import partial, wraps

import structlog
from django.contrib.auth.decorators import login_not_required
from django.core.handlers.wsgi import WSGIRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from werkzeug.exceptions import HTTPException

from jobs.api import call_log
from jobs.calls import responses
from jobs.storage import files, spool
from pixian.protocol.errors import ApiError, Refused, ServerFailed
from pixian.server import cors

log = structlog.get_logger(__name__)

View = Callable[..., HttpResponseBase]
"""Takes the request and, by name, the parts of its path."""

ErrorResponse = Callable[[ApiError], HttpResponse]

NOT_FOUND, NOT_ALLOWED = 404, 405


def error_response(error: ApiError) -> HttpResponse:
    """Return an error in the contract's envelope."""
    body = json.dumps(error.envelope())
    return HttpResponse(body, "application/json", error.status, headers=error.headers())


def api_view(method: str, to_response: ErrorResponse = error_response) -> Callable[[View], View]:
    """Decorate a view of the API, which answers one method.

    It asks for an API key (``auth.authenticate``) and never looks at the session, so another site's page
    can't act for a user who is signed in here. to_response: makes the response to an error.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: WSGIRequest, **parts: str) -> HttpResponseBase:
            if cors.is_preflight(request.method, request.headers):
                return HttpResponse(status=cors.NO_CONTENT, headers=cors.PREFLIGHT)
            line = call_log.begin(request)
            response = _respond(request, partial(view, **parts), method, to_response)
            # Django closes these once the response is sent: only then is it known what was charged.
            closers = response._resource_closers  # type: ignore[attr-defined]
            closers.append(partial(line.write, response.status_code))
            for name, value in cors.OPENED.items():
                response[name] = value
            return response

        return csrf_exempt(login_not_required(wrapped))

    return decorate


def _respond(request: WSGIRequest, view: View, method: str, to_response: ErrorResponse) -> HttpResponseBase:
    try:
        if request.method == method:
            return view(request)
        response = to_response(Refused(NOT_ALLOWED, NOT_ALLOWED, "Method Not Allowed."))
        response["Allow"] = f"{method}, OPTIONS"
    except ApiError as error:
        response = to_response(error)
    except HTTPException as error:  # werkzeug's, for a form that is malformed or ends too early
        response = to_response(Refused(error.code or 400, error.code or 400, f"{error.name}."))
    except (OperationalError, InterfaceError) as error:
        # Without a traceback: where the database was needed says nothing about why it is away.
        log.error("the database doesn't answer", error=str(error).strip())  # noqa: TRY400
        response = to_response(responses.database_away())
    except Exception as error:
        log.exception("an API call failed")
        response = to_response(_server_error(error))
    return response


def _server_error(error: Exception) -> ApiError:
    if isinstance(error, OSError) and error.errno in spool.FULL:
        return responses.disk_full()
    if isinstance(error, files.StorageUnavailableError):
        return responses.storage_away()
    return ServerFailed(500, 500, "The server failed. What was charged is in the books.")


def raise_not_found(_request: WSGIRequest) -> HttpResponse:
    """Raise Refused 404, for every path of the API that isn't one."""
    raise Refused(NOT_FOUND, NOT_FOUND, "Not Found.")


not_found = api_view("GET")(raise_not_found)
