"""Pixian's own contract, served to a team's programs: they change the host name, and nothing else."""

import json
from collections.abc import Callable, Mapping
from functools import wraps

from django.core.handlers.wsgi import WSGIRequest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS
from accounts.models import ApiKey, Scope
from jobs.api import auth, requests
from jobs.api.decorators import View, api_view
from jobs.calls import responses
from jobs.calls.streaming import StreamedCall
from jobs.models import Job
from pixian.protocol import version_1
from pixian.protocol.options import NAMES, Options
from pixian.server.form import UploadRequest, read_form
from pixian.server.image_source import SOURCES, name_of, read_source


@api_view("POST")
def remove_background(request: WSGIRequest) -> HttpResponseBase:
    """Serve ``POST /api/v2/remove-background``: submit a job, and stream the upstream's answer."""
    return _remove_background(request, dict)


def deprecated(view: View) -> View:
    """Add the deprecation headers to every response of a view."""

    @wraps(view)
    def wrapped(request: WSGIRequest) -> HttpResponseBase:
        response = view(request)
        for name, value in version_1.DEPRECATED.items():
            response[name] = value
        return response

    return wrapped


@deprecated
@api_view("POST")
def remove_background_v1(request: WSGIRequest) -> HttpResponseBase:
    """Serve ``POST /api/v1/remove-background``: the same call with its parameters in camelCase."""
    return _remove_background(request, version_1.as_v2)


@api_view("GET")
def account(request: WSGIRequest) -> HttpResponse:
    """Serve ``GET /api/v2/account``: the team's balance."""
    key = auth.authenticate(request, Scope.BALANCE)
    balances = ledger.balances(key.team)
    body = {
        "creditPack": "none",
        "state": "dormant" if balances.owed else "active",
        "useBefore": "9999-12-31T23:59:59Z",
        "credits": balances.available / MICROCREDITS,
    }
    return HttpResponse(json.dumps(body), "application/json")


def _remove_background(
    request: WSGIRequest, rename: Callable[[Mapping[str, str]], dict[str, str]]
) -> HttpResponseBase:
    """Serve either version. rename: gives the fields their names of version 2."""
    key = auth.authenticate(request, Scope.CUTOUTS)
    with (
        requests.concurrency_limit().passed(key.team_id),
        UploadRequest(request.environ, requests.open_picture_file) as received,
    ):
        job, call = _start_call(request, received, key, rename(read_form(received)))
        return _replay(job) if call is None else _stream(call)


def _start_call(
    request: WSGIRequest, received: UploadRequest, key: ApiKey, form: dict[str, str]
) -> tuple[Job, StreamedCall | None]:
    fields = requests.upload_fields(
        request,
        Job.Origin.API,
        Options.normalize(form),
        test=Options.parse(form).test,
        ignored=requests.ignored_names(received, form, NAMES | set(SOURCES)),
    )
    picture = read_source(received, form, requests.fetcher_for(key))
    return requests.start_call(key, picture, name_of(received, form, SOURCES[0]), fields)


def _stream(call: StreamedCall) -> HttpResponseBase:
    call.wait()
    if call.headers is None:
        raise call.error or responses.unknown()
    return StreamingHttpResponse(call.body(), headers=call.headers)


def _replay(job: Job) -> HttpResponseBase:
    """Return the first request's headers and bytes to a repeated one."""
    try:
        headers = responses.of_result(job, job.last_attempt.headers)
        response = FileResponse(job.result.open(), headers=headers)
    except FileNotFoundError as error:
        raise requests.result_gone() from error
    response["Content-Disposition"] = headers["Content-Disposition"]  # FileResponse has set its own
    return response
