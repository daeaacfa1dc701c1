"""Pixian's own contract, served to a team's programs: they need only another host name."""

import json

from django.core.handlers.wsgi import WSGIRequest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from werkzeug.wrappers import Request

from accounts import ledger
from accounts.models import ApiKey, Scope
from accounts.money import MICROCREDITS
from jobs import answers
from jobs.api import access, calls
from jobs.api.face import speaks
from jobs.models import Job
from jobs.relay import Call
from pixian.options import Options
from pixian.sources import read_source
from pixian.upload import UploadRequest, read_form


@speaks("POST")
def remove_background(request: WSGIRequest) -> HttpResponseBase:
    """``POST /api/v2/remove-background``: a job like any other, and the upstream's answer as it comes."""
    key = access.key_of(request, Scope.CUTOUTS)
    with calls.door().passed(), UploadRequest(request.environ) as came:
        with access.refusals_counted(key):
            job, call = _made(request, came, key)
        return _answer(job, call)


@speaks("GET")
def account(request: WSGIRequest) -> HttpResponse:
    """``GET /api/v2/account``: the team's balance."""
    key = access.key_of(request, Scope.BALANCE)
    access.count(key)
    balances = ledger.balances(key.team)
    told = {
        "creditPack": "none",
        "state": "dormant" if balances.owed else "active",
        "useBefore": "9999-12-31T23:59:59Z",
        "credits": balances.available / MICROCREDITS,
    }
    return HttpResponse(json.dumps(told), "application/json")


def _made(request: WSGIRequest, came: Request, key: ApiKey) -> tuple[Job, Call | None]:
    fields = read_form(came)
    options = Options.parse(fields)
    with read_source(came, fields, calls.fetcher()) as source:
        name = calls.source_name(came, fields, "image")
        sent = calls.received(
            request, Job.Origin.API, source, name, calls.options_of(fields), test=options.test
        )
        with sent as upload:
            return calls.make(key, upload)


def _again(job: Job) -> HttpResponseBase:
    """What a repetition is given: the first time's headers and bytes."""
    try:
        response = FileResponse(job.result.open(), headers=answers.headers(job.last_attempt.headers))
    except FileNotFoundError as error:
        raise calls.gone() from error
    del response["Content-Disposition"]
    return response


def _answer(job: Job, call: Call | None) -> HttpResponseBase:
    if call is None:
        return _again(job)
    call.wait()
    if call.headers is None:
        raise call.error or answers.unknown()
    return StreamingHttpResponse(call.body(), headers=call.headers)
