"""What a program is told, out of the rows: so that the first time and a repetition are told the same."""

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
"""What is passed on of an upstream's headers, verbatim. A list, since some names would give orders to a web
server on the way."""

RETRY_SOON, RETRY_LATER = 5, 60
"""Seconds: after a failure that may pass by itself, and one that needs a person."""


def headers(came: Iterable[Iterable[str]]) -> dict[str, str]:
    """Of a 200. A type that no picture has is taken for bytes, so that no browser runs it."""
    given = {name.lower(): value for name, value in came}
    told = {name: given[name.lower()] for name in RELAYED if name.lower() in given}
    if "content-encoding" not in given and "content-length" in given:
        told["Content-Length"] = given["content-length"]
    kind = given.get("content-type", "")
    return told | {"Content-Type": kind if kind.startswith("image/") else "application/octet-stream"}


def of_result(job: Job, came: Iterable[Iterable[str]]) -> dict[str, str]:
    """Return the headers of a 200 that gives a job's result. came: the upstream's."""
    told = headers(came)
    return told | {"Content-Disposition": file_names.attachment(job.name_of_a(told["Content-Type"]))}


def of(job: Job) -> ApiError | None:
    """The error that a program's ended job is answered with; None where there is a result."""
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
        return ServerFailed(502, 502, "The result was charged, but got lost on its way here.")
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
    """It is in other hands now, or will be."""
    return GatewayTimedOut(504, Code.TIMED_OUT, "It isn't known yet what became of the call.")


def disk_full() -> ApiError:
    return _busy(
        "The disk of this service is full. Nothing was charged. Its operator has to look.", RETRY_LATER
    )


def result_waits() -> ApiError:
    return _busy(
        "The result was charged and is safe, but the disk of this service is full. The same Idempotency-Key "
        "gets it once there is room; a request without one is a new call.",
        RETRY_LATER,
    )


def out_of_order() -> ApiError:
    """Its account or its address: nothing that the program could mend."""
    return _busy("The service behind this one is out of order. Its operator has to look.", RETRY_LATER)


def database_away() -> ApiError:
    """It restarts, or all connections of this process are taken for longer than anybody waits."""
    return _busy("The database behind this service doesn't answer at the moment.", RETRY_SOON)


def _busy(message: str, retry_after: int) -> ApiError:
    return ServerFailed(503, Code.OVERLOADED, message, retry_after=retry_after)


def _of_upstream(attempt: Attempt) -> ApiError:
    status = attempt.status or 0
    kind = Refused if status < 500 else ServerFailed
    return kind(status, attempt.error_code or status, attempt.error_message)
