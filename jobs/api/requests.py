"""From an API request to a call on its way, whichever contract the request follows."""

import json
import os
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import IO, Any, BinaryIO, cast
from uuid import UUID, uuid4, uuid5
from weakref import WeakValueDictionary

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest
from werkzeug.wrappers import Request

from accounts.ledger.money import to_credits
from accounts.ledger.operations import (
    AllowanceUsedUpError,
    InsufficientCreditsError,
    LedgerError,
    OwingError,
)
from accounts.models import ApiKey
from jobs.api import call_log
from jobs.calls import responses
from jobs.calls.streaming import StreamedCall
from jobs.calls.upstream import Upstream, connect
from jobs.connections import give_back
from jobs.intake.submit import RequestReusedError, StorageFullError, Upload, submit_and_claim
from jobs.models import Attempt, Job
from jobs.queue.claims import CallLimitError
from jobs.queue.heartbeat import process_name
from pixian.imaging import decode
from pixian.protocol.errors import ApiError, Code, Refused, SlowDown, bad_parameter
from pixian.server.concurrency_limit import ConcurrencyLimit
from pixian.server.url_fetcher import Fetcher

MAX_IGNORED, MAX_IGNORED_LENGTH = 20, 60
MAX_IDEMPOTENCY_KEY = 255
LOOK_AGAIN_SECONDS = 0.5
REPLAY_WAIT_SECONDS = 60
REQUEST_IDS = UUID("5e0f4c0e-7d39-4f0b-9d3a-3a4c7a5b2f11")
"""The name space in which idempotency keys become request ids."""

_calls: WeakValueDictionary[int, StreamedCall] = WeakValueDictionary()
"""This process's calls by their job, for repeated requests to wait on."""


@cache
def upstream() -> Upstream:
    return connect()


def concurrency_limit() -> ConcurrencyLimit:
    """Return the limit on API calls at once, which leaves threads of this process for pages."""
    return _concurrency_limit(_max_calls())


@cache
def fetcher() -> Fetcher:
    """Return this process's fetcher; making one takes 25 ms, since it reads the machine's certificates."""
    return Fetcher(networks=settings.FETCH_NETWORKS, ports=settings.FETCH_PORTS)


def fetcher_for(key: ApiKey) -> Fetcher:
    """Return the fetcher, limited to the team's share.

    Half of the calls at once may wait for other people's servers, and one team's at most half of these. Its
    next one waits, in one of the team's own places.
    """
    fetches = _fetch_limit(max(1, _max_calls() // 2))
    return replace(fetcher(), admission=partial(fetches.passed, key.team_id, settings.GATEWAY_WAIT_SECONDS))


def open_picture_file() -> IO[bytes]:
    """Open the file that a picture is received in: on the storage's volume, where a rename stores it."""
    return cast("IO[bytes]", TemporaryUploadedFile("source", None, 0, None))


def upload_fields(
    request: HttpRequest,
    origin: Job.Origin,
    options: Mapping[str, str],
    *,
    test: bool,
    ignored: Sequence[str],
    response_options: str = "",
) -> dict[str, Any]:
    """Return an upload's fields except the picture's, which are checked first (§ 4); raises Refused 400/1019.

    response_options: what shapes the response besides the options.
    """
    key = request.headers.get("Idempotency-Key", "")
    fingerprint = json.dumps([origin, sorted(options.items()), response_options])
    return {
        "request_id": _request_id(key) if key else uuid4(),
        "origin": origin,
        "options": options,
        "test": test,
        "ignored": ignored,
        "fingerprint": fingerprint if key else "",
    }


def ignored_names(received: Request, fields: Mapping[str, str], known: Container[str]) -> list[str]:
    """Return the names in a request that aren't known ones, as far as they can be stored and shown."""
    unknown = (name for name in [*fields, *received.files] if name not in known)
    printable = ("".join(filter(str.isprintable, name)).strip()[:MAX_IGNORED_LENGTH] for name in unknown)
    return list(dict.fromkeys(filter(None, printable)))[:MAX_IGNORED]


def start_call(
    key: ApiKey, picture: BinaryIO, name: str, fields: Mapping[str, Any]
) -> tuple[Job, StreamedCall | None]:
    """Return a new job and its call on its way, or the finished job and None if the request is a repeat.

    picture: from ``open_picture_file``; closed afterwards. fields: of ``upload_fields``.
    Raises the ApiErrors that say why there is no call, and what ``decode.open_picture`` raises.
    """
    until = time.monotonic() + settings.GATEWAY_WAIT_SECONDS
    with cast("TemporaryUploadedFile", picture) as file:
        file.size = file.seek(0, os.SEEK_END)
        _image, header = decode.open_picture(picture)  # left open, since closing it would close the file
        job, attempt = _submit(key, Upload(file=file, header=header, name=name, **fields), until)
    call_log.note_job(job, attempt)
    if attempt is None:
        _wait_for_first_request(job)
        return job, None
    call = _calls[job.pk] = StreamedCall(job, attempt, upstream(), until)
    call.start()
    return job, call


def result_gone() -> Refused:
    return Refused(410, 410, "The result of this request isn't kept any more.")


def _submit(key: ApiKey, upload: Upload, until: float) -> tuple[Job, Attempt | None]:
    """Submit an upload; raises the ApiErrors that say why there is no job."""
    try:
        return submit_and_claim(key, upload, process_name(), until)
    except CallLimitError as error:
        message = "All calls are taken at the moment."
        raise SlowDown(429, Code.SLOW_DOWN, message, retry_after=responses.RETRY_SOON) from error
    except RequestReusedError as error:
        raise Refused(409, Code.CONFLICT, "This Idempotency-Key came with another request before.") from error
    except StorageFullError as error:
        message = "The team's storage is full. Nothing was sent or charged; delete pictures, or ask for more."
        raise Refused(402, Code.ALLOWANCE_USED_UP, message) from error
    except LedgerError as error:
        raise payment_required(error) from error


def payment_required(error: LedgerError) -> Refused:
    """Return the 402 that says whether the team's credits or an allowance run short."""
    match error:
        case AllowanceUsedUpError():
            return Refused(402, Code.ALLOWANCE_USED_UP, _allowance_message(error))
        case OwingError():
            owed = to_credits(error.owed_microcredits)
            message = f"The team owes credits ({owed}), and calls wait until they are covered."
        case InsufficientCreditsError():
            asked, left = to_credits(error.asked_microcredits), to_credits(error.available_microcredits)
            message = f"Too few credits: this call may cost {asked}, and the team has {left}."
        case _:
            message = "The team hasn't enough credits."
    return Refused(402, Code.OUT_OF_CREDITS, message)


def _allowance_message(error: AllowanceUsedUpError) -> str:
    allowance = error.allowance
    whose = "API key" if allowance.api_key_id else "member"
    used, limit = to_credits(error.used_microcredits), to_credits(error.limit_microcredits)
    return (
        f"The allowance of this {whose} is too small: of its credits ({limit}) {used} are used this "
        f"{allowance.period}, and this call may cost {to_credits(error.asked_microcredits)}. "
        f"It renews at {error.renews_at.isoformat()}."
    )


def _wait_for_first_request(job: Job) -> None:
    """Return once the job of a repeated request has its result; raises the ApiError that it ended with.

    Raises Refused 409 if the first request takes too long.
    """
    until = time.monotonic() + REPLAY_WAIT_SECONDS
    while not job.is_finished:
        if time.monotonic() > until:
            raise _still_under_way()
        give_back()  # the connection, since the first request needs one to end
        call = _calls.get(job.pk)
        if call is None or call.has_ended:  # another process, or a worker, has the job
            time.sleep(LOOK_AGAIN_SECONDS)
        else:
            call.wait_for_end(REPLAY_WAIT_SECONDS)
        job.refresh_from_db()
    if error := responses.of(job):
        raise error
    if job.erased_at:
        raise result_gone()


def _still_under_way() -> ApiError:
    error = Refused(409, Code.CONFLICT, "The first request with this Idempotency-Key is still under way.")
    error.retry_after = responses.RETRY_SOON
    return error


def _request_id(key: str) -> UUID:
    if not (key.isascii() and key.isprintable() and len(key) <= MAX_IDEMPOTENCY_KEY):
        raise bad_parameter("Idempotency-Key", key, f"1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters")
    return uuid5(REQUEST_IDS, key)


@cache
def _concurrency_limit(calls: int) -> ConcurrencyLimit:
    return ConcurrencyLimit(calls)


@cache
def _fetch_limit(calls: int) -> ConcurrencyLimit:
    return ConcurrencyLimit(calls, share=1)


def _max_calls() -> int:
    threads: int = settings.WEB_THREADS
    return max(1, threads - settings.WEB_THREADS_FOR_PAGES)
