"""Pixian's own contract, served to a team's programs: they need only another host name."""

import json
from collections.abc import Callable, Mapping
from functools import wraps

from django.core.handlers.wsgi import WSGIRequest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from werkzeug.wrappers import Request

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS
from accounts.models import ApiKey, Scope
from jobs.api import auth, requests
from jobs.api.decorators import View, speaks
from jobs.calls import responses
from jobs.calls.streaming import StreamedCall
from jobs.models import Job
from pixian.protocol import version_1
from pixian.protocol.options import NAMES, Options
from pixian.server.form import UploadRequest, read_form
from pixian.server.image_source import SOURCES, name_of, read_source


@speaks("POST")
def remove_background(request: WSGIRequest) -> HttpResponseBase:
    """``POST /api/v2/remove-background``: a job like any other, and the upstream's answer as it comes."""
    return _remove_background(request, dict)


def deprecated(view: View) -> View:
    """Add the deprecation's headers to every answer of a view."""

    @wraps(view)
    def told(request: WSGIRequest) -> HttpResponseBase:
        response = view(request)
        for name, value in version_1.DEPRECATED.items():
            response[name] = value
        return response

    return told


@deprecated
@speaks("POST")
def remove_background_v1(request: WSGIRequest) -> HttpResponseBase:
    """``POST /api/v1/remove-background``: the same call, its parameters in camelCase."""
    return _remove_background(request, version_1.as_v2)


@speaks("GET")
def account(request: WSGIRequest) -> HttpResponse:
    """``GET /api/v2/account``: the team's balance."""
    key = auth.key_of(request, Scope.BALANCE)
    auth.count(key)
    balances = ledger.balances(key.team)
    told = {
        "creditPack": "none",
        "state": "dormant" if balances.owed else "active",
        "useBefore": "9999-12-31T23:59:59Z",
        "credits": balances.available / MICROCREDITS,
    }
    return HttpResponse(json.dumps(told), "application/json")


def _remove_background(
    request: WSGIRequest, renamed: Callable[[Mapping[str, str]], dict[str, str]]
) -> HttpResponseBase:
    """renamed: gives the fields the names they have in version 2."""
    key = auth.key_of(request, Scope.CUTOUTS)
    with requests.door().passed(key.team_id), UploadRequest(request.environ) as came:
        with auth.refusals_counted(key):
            job, call = _made(request, came, key, renamed(read_form(came)))
        return _answer(job, call)


def _made(
    request: WSGIRequest, came: Request, key: ApiKey, fields: dict[str, str]
) -> tuple[Job, StreamedCall | None]:
    terms = requests.terms(
        request,
        Job.Origin.API,
        Options.normalize(fields),
        test=Options.parse(fields).test,
        ignored=requests.ignored(came, fields, NAMES | set(SOURCES)),
    )
    with read_source(came, fields, requests.fetcher_of(key)) as source:
        name = name_of(came, fields, SOURCES[0])
        with requests.received(source, name, terms) as upload:
            return requests.make(key, upload)


def _again(job: Job) -> HttpResponseBase:
    """What a repetition is given: the first time's headers and bytes."""
    try:
        told = responses.of_result(job, job.last_attempt.headers)
        response = FileResponse(job.result.open(), headers=told)
    except FileNotFoundError as error:
        raise requests.gone() from error
    response["Content-Disposition"] = told["Content-Disposition"]  # it has set its own
    return response


def _answer(job: Job, call: StreamedCall | None) -> HttpResponseBase:
    if call is None:
        return _again(job)
    call.wait()
    if call.headers is None:
        raise call.error or responses.unknown()
    return StreamingHttpResponse(call.body(), headers=call.headers)
