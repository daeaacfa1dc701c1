"""A program's call, whichever face it came by: taken in once, made or replayed, answered."""

import json
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import Any, BinaryIO, cast
from uuid import UUID, uuid4, uuid5

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
from accounts.rate_limits import TooFastError
from jobs.api import auth, call_log
from jobs.calls import responses
from jobs.calls.streaming import StreamedCall
from jobs.calls.upstream import Upstream, connect
from jobs.connections import give_back
from jobs.intake.submit import RequestReusedError, Upload, submit_and_claim
from jobs.models import Job
from jobs.queue.claims import CallLimitError
from jobs.queue.heartbeat import process_name
from pixian.imaging import decode
from pixian.protocol.errors import ApiError, Code, Refused, SlowDown, bad_parameter
from pixian.server.concurrency_limit import ConcurrencyLimit
from pixian.server.url_fetcher import Fetcher

CHUNK_BYTES = 1 << 20
MAX_IGNORED, MAX_IGNORED_LENGTH = 20, 60
MAX_KEY = 255
LOOK_AGAIN_SECONDS = 0.1
REPLAY_WAIT_SECONDS = 60
REQUESTS = UUID("5e0f4c0e-7d39-4f0b-9d3a-3a4c7a5b2f11")
"""Idempotency keys become request ids in this name space."""


def door() -> ConcurrencyLimit:
    """How many calls are inside at once; the other threads of the process go on answering pages."""
    return _door(_places())


@cache
def fetcher() -> Fetcher:
    """One for all, since it reads the machine's certificates, which takes 25 ms."""
    return Fetcher(networks=settings.FETCH_NETWORKS, ports=settings.FETCH_PORTS)


def fetcher_of(key: ApiKey) -> Fetcher:
    """The fetcher within its team's share: half of the places may wait for other people's servers at once,
    and a team has at most half of these. One more waits, in a place of its own team's."""
    fetches = _fetches(max(1, _places() // 2))
    return replace(fetcher(), admission=partial(fetches.passed, key.team_id, settings.GATEWAY_WAIT_SECONDS))


def terms(
    request: HttpRequest,
    origin: Job.Origin,
    options: Mapping[str, str],
    *,
    test: bool,
    ignored: Sequence[str],
    face: str = "",
) -> dict[str, Any]:
    """Return an upload's fields, all but the picture's, to be checked before that is looked at (§ 4). face:
    what else shapes the answer. Raises Refused 400/1019."""
    key = request.headers.get("Idempotency-Key", "")
    fingerprint = json.dumps([origin, sorted(options.items()), face])
    return {
        "request_id": _request_id(key) if key else uuid4(),
        "batch": uuid4(),
        "origin": origin,
        "options": options,
        "test": test,
        "ignored": ignored,
        "fingerprint": fingerprint if key else "",
    }


@contextmanager
def received(source: BinaryIO, name: str, terms: Mapping[str, Any]) -> Iterator[Upload]:
    """The upload that a request is, its picture in a file of its own; raises what
    ``pixian.imaging.decode.open_picture`` raises."""
    with TemporaryUploadedFile("source", None, 0, None) as file:
        _copy(source, file)
        _image, header = decode.open_picture(cast("BinaryIO", file))  # closing it would close the file
        yield Upload(file=file, header=header, name=name, **terms)


def ignored(came: Request, fields: Mapping[str, str], known: Container[str]) -> list[str]:
    """Return the names that a request has besides the known ones, as far as they can be stored and shown."""
    unknown = (name for name in [*fields, *came.files] if name not in known)
    shown = ("".join(filter(str.isprintable, name)).strip()[:MAX_IGNORED_LENGTH] for name in unknown)
    return list(dict.fromkeys(filter(None, shown)))[:MAX_IGNORED]


def make(key: ApiKey, upload: Upload) -> tuple[Job, StreamedCall | None]:
    """The job, and its call on its way, or None where it is a repetition of one that has ended.

    Raises the ApiErrors that tell why there is none.
    """
    until = time.monotonic() + settings.GATEWAY_WAIT_SECONDS
    try:
        job, attempt = submit_and_claim(key, upload, auth.bounds(key), process_name(), until)
    except TooFastError as error:
        raise auth.too_fast(error) from error
    except CallLimitError as error:
        raise SlowDown(
            429, Code.SLOW_DOWN, "All calls are taken at the moment.", retry_after=responses.RETRY_SOON
        ) from error
    except RequestReusedError as error:
        raise Refused(409, Code.CONFLICT, "This Idempotency-Key came with another request before.") from error
    except LedgerError as error:
        raise unpaid(error) from error
    call_log.note_job(job, attempt)
    if attempt is None:
        return _ended(job), None
    call = StreamedCall(job, attempt, upstream(), until)
    call.start()
    return job, call


def unpaid(error: LedgerError) -> Refused:
    """402: the pool, or one of the allowances, doesn't reach."""
    match error:
        case AllowanceUsedUpError():
            return Refused(402, Code.ALLOWANCE_USED_UP, _used_up(error))
        case OwingError():
            owed = to_credits(error.owed_microcredits)
            message = f"The team owes {owed} credits; calls wait until they are covered."
        case InsufficientCreditsError():
            asked, left = to_credits(error.asked_microcredits), to_credits(error.available_microcredits)
            message = f"This call may cost {asked} credits, and the team has {left}."
        case _:
            message = "The team's credits don't reach."
    return Refused(402, Code.OUT_OF_CREDITS, message)


def _used_up(error: AllowanceUsedUpError) -> str:
    allowance = error.allowance
    whose = "API key" if allowance.api_key_id else "member"
    used, limit = to_credits(error.used_microcredits), to_credits(allowance.limit_microcredits)
    return (
        f"The allowance of this {whose} doesn't reach: {used} of {limit} credits are used this "
        f"{allowance.period}, and this call may cost {to_credits(error.asked_microcredits)}. "
        f"It renews at {error.renews_at.isoformat()}."
    )


def gone() -> Refused:
    return Refused(410, 410, "The result of this request isn't kept any more.")


@cache
def upstream() -> Upstream:
    return connect()


@cache
def _door(places: int) -> ConcurrencyLimit:
    return ConcurrencyLimit(places)


@cache
def _fetches(places: int) -> ConcurrencyLimit:
    return ConcurrencyLimit(places, share=1)


def _places() -> int:
    threads: int = settings.WEB_THREADS
    return max(1, threads - settings.WEB_THREADS_FOR_PAGES)


def _copy(source: BinaryIO, file: TemporaryUploadedFile) -> None:
    source.seek(0)
    while chunk := source.read(CHUNK_BYTES):
        file.write(chunk)
    file.flush()
    file.size = file.tell()


def _request_id(key: str) -> UUID:
    if not (key.isascii() and key.isprintable() and len(key) <= MAX_KEY):
        raise bad_parameter("Idempotency-Key", key, f"1 to {MAX_KEY} printable ASCII characters")
    return uuid5(REQUESTS, key)


def _ended(job: Job) -> Job:
    """Once it has; raises Refused 409 where its first request takes too long."""
    until = time.monotonic() + REPLAY_WAIT_SECONDS
    while not job.is_finished:
        if time.monotonic() > until:
            raise _under_way()
        give_back()  # the connection: the first request needs one to end
        time.sleep(LOOK_AGAIN_SECONDS)
        job.refresh_from_db()
    if error := responses.of(job):
        raise error
    return job


def _under_way() -> ApiError:
    error = Refused(409, Code.CONFLICT, "The first request with this Idempotency-Key is still under way.")
    error.retry_after = responses.RETRY_SOON
    return error
