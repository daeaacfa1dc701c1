"""Jobs as our own API returns them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.db.models import Prefetch
from ninja import Schema
from pydantic import Field

from accounts.models import ApiKey
from jobs.api.rest.fields import Credits, credits_, credits_or_none, one_of
from jobs.audit.reconcile import Verdict, booked, books, held, verdict
from jobs.calls import responses
from jobs.models import Attempt, Job, Rendition
from jobs.renditions.style import PLAIN

HEX = "^[0-9a-f]{64}$"

Sha256 = Annotated[str, Field(pattern=HEX)]


class KeyName(Schema):
    """An API key without its secret."""

    id: str = Field(description="The API Id.")
    name: str


class Picture(Schema):
    """A job's picture as it was sent in."""

    name: str
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: Sha256


class Result(Schema):
    """A job's cut-out; its bytes are at the job's path with ``/result`` after it.

    That of a call is what came from the upstream. That of a picture from the browser is a transparent PNG in
    full size, which is made when it is first fetched: its size and hash are null until then.
    """

    name: str
    content_type: str
    bytes: int | None
    sha256: Sha256 | None


class Failure(Schema):
    """The error that an attempt got instead of a picture."""

    code: int | None = Field(description="The contract's error code, if the response had one.")
    message: str


class AttemptDetails(Schema):
    """One call to the upstream, which is charged at most once."""

    number: int
    state: Annotated[Attempt.State, one_of(Attempt.State)]
    verdict: Annotated[Verdict, one_of(Verdict)]
    status: int | None = Field(description="HTTP status of the response; null before it.")
    sends: int = Field(description="Times it was sent: again only if it surely wasn't processed.")
    prepared_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    charge_header: str | None = Field(description="X-Credits-Charged, verbatim.")
    charge_rounded: bool = Field(
        description="The header is finer than a micro-credit, so the charge is rounded half up."
    )
    doubt: Annotated[Attempt.Doubt, one_of(Attempt.Doubt)] | None = Field(
        description="The reason why a person has to decide, or had to."
    )
    held: Credits
    charged: Credits | None = Field(description="As the header says or a person decided; null if unknown.")
    booked: Credits
    error: Failure | None


class JobSummary(Schema):
    """A job, and its credits over all attempts."""

    id: int
    state: Annotated[Job.State, one_of(Job.State)]
    reason: Annotated[Job.Reason, one_of(Job.Reason)] | None = Field(
        description="The reason why it waits, or ended as it did."
    )
    origin: Annotated[Job.Origin, one_of(Job.Origin)]
    who: str = Field(description="E-mail address of the member who sent it in, or whose key did.")
    key: KeyName | None
    test: bool = Field(description="Free of charge, with a watermark.")
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None = Field(
        description="When its picture and its result were deleted; its name is a number since then."
    )
    picture: Picture
    result: Result | None
    estimated: Credits
    held: Credits = Field(description="Held for the last attempt.")
    charged: Credits | None = Field(description="Charged as far as is known; null if nothing is known yet.")
    booked: Credits | None = Field(description="Booked in the ledger; null before the first attempt ended.")
    verdict: Annotated[Verdict, one_of(Verdict)]


class JobDetails(JobSummary):
    """A job with its options and all its attempts."""

    batch: UUID | None = Field(description="Shared by the pictures of one drop; null for a call.")
    options: dict[str, str] = Field(description="The form fields as the upstream got them.")
    ignored: list[str] = Field(description="Names of the parameters that were ignored.")
    attempts: list[AttemptDetails]


PLAIN_PNG = Prefetch(
    "renditions",
    Rendition.objects.filter(style_sha256=PLAIN.sha256, state=Rendition.State.MADE),
    to_attr="plain_png",
)


def summary(job: Job) -> JobSummary:
    """Summarize a job that was read with what ``jobs.search.filters`` prefetches, and with PLAIN_PNG."""
    money = books(job)
    return JobSummary(
        id=job.pk,
        state=Job.State(job.state),
        reason=Job.Reason(job.reason) if job.reason else None,
        origin=Job.Origin(job.origin),
        who=job.created_by.email,
        key=key_name(job.api_key),
        test=job.test,
        created_at=job.created_at,
        updated_at=job.updated_at,
        erased_at=job.erased_at,
        picture=_picture(job),
        result=_result(job),
        estimated=credits_(money.estimated),
        held=credits_(money.held),
        charged=credits_or_none(money.charged),
        booked=credits_or_none(money.booked),
        verdict=money.verdict,
    )


def details(job: Job) -> JobDetails:
    in_order = sorted(job.attempts.all(), key=lambda attempt: attempt.number)
    return JobDetails(
        **dict(summary(job)),
        batch=job.batch_id,
        options=job.options,
        ignored=job.ignored,
        attempts=list(map(_attempt, in_order)),
    )


def key_name(key: ApiKey | None) -> KeyName | None:
    return KeyName(id=key.api_id, name=key.name) if key else None


def result_type(job: Job) -> str:
    """Return the content type that the gateway sends for this job."""
    return job.result_type if job.reused_from else responses.headers(job.last_attempt.headers)["Content-Type"]


def _picture(job: Job) -> Picture:
    return Picture(
        name=job.name,
        content_type=job.content_type,
        width=job.width,
        height=job.height,
        bytes=job.source_bytes,
        sha256=job.source_sha256,
    )


def _result(job: Job) -> Result | None:
    if not job.has_result:
        return None
    if job.has_delta_master:
        made = next(iter(job.plain_png), None)  # type: ignore[attr-defined]
        return Result(
            name=job.result_name,
            content_type=PLAIN.format.content_type,
            bytes=made and made.bytes,
            sha256=made and made.sha256,
        )
    return Result(
        name=job.result_name,
        content_type=result_type(job),
        bytes=job.result_bytes or 0,
        sha256=job.result_sha256,
    )


def _attempt(attempt: Attempt) -> AttemptDetails:
    failed = attempt.error_message or attempt.error_code is not None
    return AttemptDetails(
        number=attempt.number,
        state=Attempt.State(attempt.state),
        verdict=verdict(attempt),
        status=attempt.status,
        sends=attempt.sends,
        prepared_at=attempt.prepared_at,
        sent_at=attempt.sent_at,
        answered_at=attempt.answered_at,
        ended_at=attempt.ended_at,
        charge_header=attempt.charged_header,
        charge_rounded=attempt.is_rounded,
        doubt=Attempt.Doubt(attempt.doubt) if attempt.doubt else None,
        held=credits_(held(attempt)),
        charged=credits_or_none(attempt.known_microcredits),
        booked=credits_(booked(attempt)),
        error=Failure(code=attempt.error_code, message=attempt.error_message) if failed else None,
    )
