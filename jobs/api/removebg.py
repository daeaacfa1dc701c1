"""The drop-in for remove.bg: programs written for that service change host and key, and nothing else."""

import json
from dataclasses import asdict
from functools import partial
from typing import BinaryIO, cast

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse

from accounts import rate_limits
from accounts.ledger import operations as ledger
from accounts.models import ApiKey, Scope
from jobs.api import auth, requests
from jobs.api.decorators import api_view, raise_not_found
from jobs.calls import responses
from jobs.calls.streaming import StreamedCall
from jobs.connections import give_back
from jobs.models import Job
from jobs.renditions.decode_limit import DECODING
from pixian.protocol import file_names
from pixian.protocol.errors import ApiError
from pixian.removebg import account as removebg_account
from pixian.removebg import errors
from pixian.removebg.options import JSON, SOURCES, RemovebgOptions
from pixian.removebg.request import DropInRequest, credentials_of, read_fields, read_source
from pixian.removebg.response import TYPES, build_response
from pixian.server.form import UploadRequest
from pixian.server.image_source import name_of

EXTENSIONS = {content_type: format_.value for format_, content_type in TYPES.items()}


def error_response(error: ApiError) -> HttpResponse:
    """Return an error as remove.bg writes it."""
    body = json.dumps(errors.envelope(error))
    return HttpResponse(body, "application/json", errors.status_of(error), headers=errors.headers(error))


@api_view("POST", error_response)
def remove_background(request: WSGIRequest) -> HttpResponse:
    """Serve ``POST /v1.0/removebg``: submit a job, and make what the contract hasn't got from its result."""
    with DropInRequest(request.environ, requests.open_picture_file) as received:
        key = auth.authenticate(request, Scope.CUTOUTS, credentials_of(received))
        with requests.concurrency_limit().passed(key.team_id):
            form = read_fields(received)
            options = RemovebgOptions.parse(form, request.headers.get("Accept", ""))
            job, call = _start_call(request, received, key, form, options)
            if call:
                call.finish()
                if call.error:
                    raise call.error
            return _add_rate_limit_headers(_respond(job, options), key)


@api_view("GET", error_response)
def account(request: WSGIRequest) -> HttpResponse:
    """Serve ``GET /v1.0/account``: the team's balance."""
    with UploadRequest(request.environ) as received:
        key = auth.authenticate(request, Scope.BALANCE, credentials_of(received))
    body = removebg_account.account(ledger.balances(key.team).available)
    return HttpResponse(json.dumps(body), "application/json")


not_found = api_view("GET", error_response)(raise_not_found)


def _start_call(
    request: WSGIRequest,
    received: UploadRequest,
    key: ApiKey,
    form: dict[str, str],
    options: RemovebgOptions,
) -> tuple[Job, StreamedCall | None]:
    fields = requests.upload_fields(
        request,
        Job.Origin.DROP_IN,
        options.form(),
        test=options.test,
        ignored=requests.ignored_names(received, form, errors.PARAMETERS),
        response_options=json.dumps(asdict(options), default=str),
    )
    picture = read_source(received, form, requests.fetcher_for(key))
    return requests.start_call(key, picture, name_of(received, form, SOURCES[0]), fields)


def _respond(job: Job, options: RemovebgOptions) -> HttpResponse:
    headers = responses.headers(job.last_attempt.headers)
    # What was paid for isn't refused: whoever calls again without an idempotency key would pay twice.
    room = partial(DECODING.reserve, job.team_id, patiently=True)
    give_back()  # the database's connection meanwhile
    try:
        with job.result.open() as result:
            made = build_response(options, cast("BinaryIO", result), headers, (job.width, job.height), room)
    except FileNotFoundError as error:
        raise requests.result_gone() from error
    response = HttpResponse(made.body, headers=made.headers)
    if (content_type := made.headers["Content-Type"]) != JSON:
        name = file_names.cut_out_name(job.name, EXTENSIONS[content_type])
        response["Content-Disposition"] = file_names.attachment(name)
    return response


def _add_rate_limit_headers(response: HttpResponse, key: ApiKey) -> HttpResponse:
    """Say how often the key may still call within a minute."""
    limit = auth.rate_limits_of(key)[0]
    if limit.per_minute:
        left, reset_at = rate_limits.remaining(limit)
        response["X-RateLimit-Limit"] = str(limit.per_minute)
        response["X-RateLimit-Remaining"] = str(left)
        response["X-RateLimit-Reset"] = str(reset_at)
    return response
