"""What every view of the contract shares: answers that any page may read, and errors in its envelope."""

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
from jobs.storage import spool
from pixian.protocol.errors import ApiError, Refused, ServerFailed
from pixian.server import cors

log = structlog.get_logger(__name__)

View = Callable[..., HttpResponseBase]
"""Given the request, and by name the parts of its address."""

Envelope = Callable[[ApiError], HttpResponse]

NOT_FOUND, NOT_ALLOWED = 404, 405


def envelope(error: ApiError) -> HttpResponse:
    """An error answer of the contract."""
    body = json.dumps(error.envelope())
    return HttpResponse(body, "application/json", error.status, headers=error.headers())


def speaks(method: str, told: Envelope = envelope) -> Callable[[View], View]:
    """A view that answers one method, without a session: a key is asked for instead (``access.key_of``), so
    that another site's page can't act for somebody who is logged in here. told: how its errors look."""

    def decorate(view: View) -> View:
        @wraps(view)
        def face(request: WSGIRequest, **parts: str) -> HttpResponseBase:
            if cors.is_preflight(request.method, request.headers):
                return HttpResponse(status=cors.NO_CONTENT, headers=cors.PREFLIGHT)
            line = call_log.begin(request)
            response = _answer(request, partial(view, **parts), method, told)
            # As Django itself does for what is to happen once an answer is sent.
            closers = response._resource_closers  # type: ignore[attr-defined]
            closers.append(partial(line.write, response.status_code))
            for name, value in cors.OPENED.items():
                response[name] = value
            return response

        return csrf_exempt(login_not_required(face))

    return decorate


def _answer(request: WSGIRequest, view: View, method: str, told: Envelope) -> HttpResponseBase:
    try:
        if request.method == method:
            return view(request)
        response = told(Refused(NOT_ALLOWED, NOT_ALLOWED, "Method Not Allowed."))
        response["Allow"] = f"{method}, OPTIONS"
    except ApiError as error:
        response = told(error)
    except HTTPException as error:  # what werkzeug refuses: a form that can't be read, or stops half-way
        response = told(Refused(error.code or 400, error.code or 400, f"{error.name}."))
    except (OperationalError, InterfaceError) as error:
        log.error("the database doesn't answer", error=str(error).strip())  # noqa: TRY400 - where says nothing
        response = told(responses.database_away())
    except Exception as error:
        log.exception("a program's request failed")
        response = told(_broken(error))
    return response


def _broken(error: Exception) -> ApiError:
    """What a program is told that can't know better, and what the operator is."""
    if isinstance(error, OSError) and error.errno in spool.FULL:
        return responses.disk_full()
    return ServerFailed(500, 500, "Something broke here. What was charged is in the books.")


def nothing(_request: WSGIRequest) -> HttpResponse:
    raise Refused(NOT_FOUND, NOT_FOUND, "Not Found.")


nothing_here = speaks("GET")(nothing)
