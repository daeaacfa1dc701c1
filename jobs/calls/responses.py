"""Respond to a program out of the rows, so that a repeated request gets the same response as the first."""

from collections.abc import Iterable

from jobs.models import Attempt, Job
from jobs.queue.claims import Reason
from pixian.client.client import OK
from pixian.protocol import file_names
from pixian.protocol.errors import ApiError, Code, GatewayTimedOut, Refused, ServerFailed

RELAYED = (
    "X-Credits-Charged",
    "X-Credits-Calculated",
    "X-Input-Size",
    "X-Result-Size",
    "X-Input-Orientation",
)
"""The upstream's headers that are passed on, verbatim. Others may give orders to a web server on the way."""

RETRY_SOON, RETRY_LATER = 5, 60
"""Seconds: after a failure that may pass by itself, and one that needs a person."""


def headers(upstream_headers: Iterable[Iterable[str]]) -> dict[str, str]:
    """Return the headers of a 200, from the upstream's.

    A content type that no picture has is replaced by that of bytes, so that no browser runs it.
    """
    received = {name.lower(): value for name, value in upstream_headers}
    relayed = {name: received[name.lower()] for name in RELAYED if name.lower() in received}
    if "content-encoding" not in received and "content-length" in received:
        relayed["Content-Length"] = received["content-length"]
    kind = received.get("content-type", "")
    return relayed | {"Content-Type": kind if kind.startswith("image/") else "application/octet-stream"}


def of_result(job: Job, upstream_headers: Iterable[Iterable[str]]) -> dict[str, str]:
    """Return the headers of a 200 with a job's result, from the upstream's."""
    relayed = headers(upstream_headers)
    return relayed | {"Content-Disposition": file_names.attachment(job.name_of_a(relayed["Content-Type"]))}


def of(job: Job) -> ApiError | None:
    """Return the error response of a program's ended job; None if there is a result."""
    if job.state == Job.State.DONE:
        return None
    attempt = job.last_attempt
    if job.state == Job.State.IN_DOUBT and job.reason == Reason.UNANSWERED:
        return GatewayTimedOut(
            504,
            Code.TIMED_OUT,
            "The service never answered, so it isn't known yet whether the call was charged. It is not sent "
            "again by itself.",
        )
    if job.reason == Reason.NOT_BOOKED:
        return unknown()
    if job.reason == Reason.RESULT_LOST:
        return ServerFailed(
            502,
            502,
            "The result was charged, but got lost on its way here. It isn't called for again under this "
            "Idempotency-Key; with another one, or none, the request is a new call.",
        )
    if job.reason == Reason.NOT_A_PICTURE:
        return ServerFailed(502, 502, attempt.error_message)
    if attempt.status and attempt.status != OK:
        return _of_upstream(attempt)
    return ServerFailed(503, Code.OVERLOADED, "The call was cut off.", retry_after=RETRY_SOON)


def unreachable() -> ApiError:
    return _busy("The service behind this one can't be reached.", RETRY_SOON)


def cut_off() -> ApiError:
    return _busy("The service behind this one broke off. Nothing was charged.", RETRY_SOON)


def unknown() -> ApiError:
    """Return the response if another worker has the job now, or will have it."""
    return GatewayTimedOut(504, Code.TIMED_OUT, "It isn't known yet what became of the call.")


def disk_full() -> ApiError:
    return _busy(
        "The disk of this service is full. Nothing was charged. Its operator has to look.", RETRY_LATER
    )


def storage_away() -> ApiError:
    """Return the response if files can't be read or stored; nothing is sent upstream then."""
    return _busy(
        "The storage behind this service doesn't answer. What was charged before is safe.", RETRY_LATER
    )


def result_waits() -> ApiError:
    return _busy(
        "The result was charged and is safe, but this service can't store it at the moment. The same "
        "Idempotency-Key gets it once that is done; a request without one is a new call.",
        RETRY_LATER,
    )


def out_of_order() -> ApiError:
    """Return the response if the upstream's account or address is wrong, which no program can mend."""
    return _busy("The service behind this one is out of order. Its operator has to look.", RETRY_LATER)


def database_away() -> ApiError:
    """Return the response if the database restarts, or all connections of this process are taken."""
    return _busy("The database behind this service doesn't answer at the moment.", RETRY_SOON)


def _busy(message: str, retry_after: int) -> ApiError:
    return ServerFailed(503, Code.OVERLOADED, message, retry_after=retry_after)


def _of_upstream(attempt: Attempt) -> ApiError:
    status = attempt.status or 0
    kind = Refused if status < 500 else ServerFailed
    return kind(status, attempt.error_code or status, attempt.error_message)
