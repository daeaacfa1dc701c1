"""How a job looks to a program."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field

from accounts.models import ApiKey
from jobs.api.rest.fields import Credits, credits_, known, one_of
from jobs.audit.reconcile import Verdict, booked, books, held, verdict
from jobs.calls import responses
from jobs.models import Attempt, Job

HEX = "^[0-9a-f]{64}$"

Sha256 = Annotated[str, Field(pattern=HEX)]


class KeyName(Schema):
    """An API key, as far as it may be shown."""

    id: str = Field(description="Its API Id.")
    name: str


class Picture(Schema):
    """A job's picture as it came in."""

    name: str
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: Sha256


class Result(Schema):
    """A job's cut-out; fetch it from the job's address with ``/result`` behind it."""

    name: str
    content_type: str
    bytes: int
    sha256: Sha256


class Failure(Schema):
    """What an attempt was answered instead of a picture."""

    code: int | None = Field(description="The contract's error code, where the answer had one.")
    message: str


class AttemptDetails(Schema):
    """One call to the upstream, which is charged once at most."""

    number: int
    state: Annotated[Attempt.State, one_of(Attempt.State)]
    verdict: Annotated[Verdict, one_of(Verdict)]
    status: int | None = Field(description="Of the answer; null where none came yet.")
    sends: int = Field(description="How often it was sent: again only where it surely wasn't processed.")
    prepared_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    charge_header: str | None = Field(description="X-Credits-Charged, word by word.")
    charge_rounded: bool = Field(
        description="The header names a part of a micro-credit, so the charge is rounded half up."
    )
    doubt: Annotated[Attempt.Doubt, one_of(Attempt.Doubt)] | None = Field(
        description="Why a person has to look, or had to."
    )
    held: Credits
    charged: Credits | None = Field(description="As the header says or a person decided; null if unknown.")
    booked: Credits
    error: Failure | None


class JobSummary(Schema):
    """A picture on its way, and its money over all attempts."""

    id: int
    state: Annotated[Job.State, one_of(Job.State)]
    reason: Annotated[Job.Reason, one_of(Job.Reason)] | None = Field(
        description="Why it waits or ended as it did."
    )
    origin: Annotated[Job.Origin, one_of(Job.Origin)]
    who: str = Field(description="The member who brought it in, or whose key did: an e-mail address.")
    key: KeyName | None
    test: bool = Field(description="Free of charge, with a watermark.")
    created_at: datetime
    updated_at: datetime
    picture: Picture
    result: Result | None
    estimated: Credits
    held: Credits = Field(description="For the last attempt.")
    charged: Credits | None = Field(description="What is known to be charged; null if nothing is known yet.")
    booked: Credits | None = Field(description="What the ledger took; null before the first attempt ended.")
    verdict: Annotated[Verdict, one_of(Verdict)]


class JobDetails(JobSummary):
    """The same with its options and every attempt."""

    batch: UUID = Field(description="Shared by what was dropped together.")
    options: dict[str, str] = Field(description="The form fields that went to the upstream, as understood.")
    ignored: list[str] = Field(description="Parameters that came and mean nothing here, by their names.")
    attempts: list[AttemptDetails]


def summary(job: Job) -> JobSummary:
    """Of a job with what ``jobs.search.filters`` reads."""
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
        picture=_picture(job),
        result=_result(job),
        estimated=credits_(money.estimated),
        held=credits_(money.held),
        charged=known(money.charged),
        booked=known(money.booked),
        verdict=money.verdict,
    )


def details(job: Job) -> JobDetails:
    in_order = sorted(job.attempts.all(), key=lambda attempt: attempt.number)
    return JobDetails(
        **dict(summary(job)),
        batch=job.batch,
        options=job.options,
        ignored=job.ignored,
        attempts=list(map(_attempt, in_order)),
    )


def key_name(key: ApiKey | None) -> KeyName | None:
    return KeyName(id=key.api_id, name=key.name) if key else None


def result_type(job: Job) -> str:
    """As a program is told it that waits for the answer."""
    return responses.headers(job.last_attempt.headers)["Content-Type"]


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
    if not job.result:
        return None
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
        charged=known(attempt.known_microcredits),
        booked=credits_(booked(attempt)),
        error=Failure(code=attempt.error_code, message=attempt.error_message) if failed else None,
    )
