"""The drop-in for remove.bg: programs written for that service need another host and key, no more."""

import json
from dataclasses import asdict
from typing import BinaryIO, cast

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from werkzeug.wrappers import Request

from accounts import rate_limits
from accounts.ledger import operations as ledger
from accounts.models import ApiKey, Scope
from jobs.api import auth, requests
from jobs.api.decorators import nothing, speaks
from jobs.calls import responses
from jobs.calls.streaming import StreamedCall
from jobs.models import Job
from pixian.protocol import file_names
from pixian.protocol.errors import ApiError
from pixian.removebg import account as standing
from pixian.removebg import errors
from pixian.removebg.options import JSON, SOURCES, RemovebgOptions
from pixian.removebg.request import DropInRequest, credentials_of, read_fields, read_source
from pixian.removebg.response import TYPES, build_response
from pixian.server.form import UploadRequest
from pixian.server.image_source import name_of

ENDINGS = {kind: ending.value for ending, kind in TYPES.items()}


def told(error: ApiError) -> HttpResponse:
    """An error answer as that service gives it."""
    body = json.dumps(errors.envelope(error))
    return HttpResponse(body, "application/json", errors.status_of(error), headers=errors.headers(error))


@speaks("POST", told)
def remove_background(request: WSGIRequest) -> HttpResponse:
    """``POST /v1.0/removebg``: a job like any other; what it asks for beyond the contract is made here, out
    of the stored result."""
    with DropInRequest(request.environ) as came:
        key = auth.key_of(request, Scope.CUTOUTS, credentials_of(came))
        with requests.door().passed(key.team_id):
            with auth.refusals_counted(key):
                fields = read_fields(came)
                wanted = RemovebgOptions.parse(fields, request.headers.get("Accept", ""))
                job, call = _made(request, came, key, fields, wanted)
            _finish(call)
            return _rated(key, _answer(job, wanted))


@speaks("GET", told)
def account(request: WSGIRequest) -> HttpResponse:
    """``GET /v1.0/account``: the team's balance."""
    with UploadRequest(request.environ) as came:
        key = auth.key_of(request, Scope.BALANCE, credentials_of(came))
        auth.count(key)
    balance = standing.account(ledger.balances(key.team).available)
    return HttpResponse(json.dumps(balance), "application/json")


nothing_here = speaks("GET", told)(nothing)


def _made(
    request: WSGIRequest, came: Request, key: ApiKey, fields: dict[str, str], wanted: RemovebgOptions
) -> tuple[Job, StreamedCall | None]:
    """The job and its call; raises ApiErrors."""
    terms = requests.terms(
        request,
        Job.Origin.DROP_IN,
        wanted.form(),
        test=wanted.test,
        ignored=requests.ignored(came, fields, errors.PARAMETERS),
        face=json.dumps(asdict(wanted), default=str),
    )
    with (
        read_source(came, fields, requests.fetcher_of(key)) as source,
        requests.received(source, name_of(came, fields, SOURCES[0]), terms) as upload,
    ):
        return requests.make(key, upload)


def _finish(call: StreamedCall | None) -> None:
    """Wait until the result is stored and booked; raises ApiErrors."""
    if call:
        call.finish()
        if call.error:
            raise call.error


def _answer(job: Job, wanted: RemovebgOptions) -> HttpResponse:
    told = responses.headers(job.last_attempt.headers)
    try:
        with job.result.open() as result:
            made = build_response(wanted, cast("BinaryIO", result), told, (job.width, job.height))
    except FileNotFoundError as error:
        raise requests.gone() from error
    response = HttpResponse(made.body, headers=made.headers)
    if (kind := made.headers["Content-Type"]) != JSON:
        name = file_names.cut_out_name(job.name, ENDINGS[kind])
        response["Content-Disposition"] = file_names.attachment(name)
    return response


def _rated(key: ApiKey, response: HttpResponse) -> HttpResponse:
    """With how often the key may still call within a minute."""
    bound = auth.bounds(key)[0]
    if bound.per_minute:
        left, paid_off_at = rate_limits.left(bound)
        response["X-RateLimit-Limit"] = str(bound.per_minute)
        response["X-RateLimit-Remaining"] = str(left)
        response["X-RateLimit-Reset"] = str(paid_off_at)
    return response
