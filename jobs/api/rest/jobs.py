"""A team's jobs for its programs: found again, explained, and taken away as bytes."""

from typing import Annotated

from django.db.models.fields.files import FieldFile
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from ninja import Path, Query, Router
from pydantic import Field

from accounts.models import Scope
from jobs.api import requests
from jobs.api.openapi.responses import FILE, ONE
from jobs.api.rest import schemas
from jobs.api.rest.auth import KeyRequest, requires
from jobs.api.rest.fields import MAX_ID, Listed, Paged, next_page, one_of
from jobs.api.rest.schemas import JobDetails, JobSummary
from jobs.models import Job
from jobs.search import filters
from jobs.search.filters import JobFilter
from pixian.protocol.errors import Refused

NOT_FOUND = 404
UNTIL_ASKED_AGAIN = "private, no-cache"
"""Whoever has the bytes may keep them, and asks each time whether the key still opens them."""

router = Router(tags=["Jobs"])

JobId = Annotated[int, Path(ge=1, le=MAX_ID)]


class JobsWanted(Paged):
    state: Annotated[Job.State, one_of(Job.State)] | None = None
    origin: Annotated[Job.Origin, one_of(Job.Origin)] | None = None
    key: str | None = Field(None, max_length=15, description="The API Id of the key it came by.")
    name: str | None = Field(
        None, max_length=255, pattern=r"^[^\x00]*$", description="A part of the picture's name."
    )

    def wanted(self) -> JobFilter:
        return JobFilter(self.state, self.origin, self.key, self.name, self.span)


class JobList(Listed[JobSummary]):
    """A page of jobs, the newest first."""


@router.get("", response=JobList, url_name="api_jobs", summary="List jobs", **requires(Scope.JOBS))
def list_jobs(request: KeyRequest, asked: Query[JobsWanted]) -> JobList:
    """The team's jobs, the newest first. For a name or an origin each page looks through the next 20,000
    jobs: it may have fewer than asked for, even none, while ``next`` says where to go on."""
    page = filters.page(request.auth.team, asked.wanted(), asked.before, asked.limit)
    return JobList(items=[schemas.summary(job) for job in page.rows], next=next_page(request, page))


@router.get(
    "/{job_id}",
    response=JobDetails,
    url_name="api_job",
    summary="Explain a job",
    **requires(Scope.JOBS, **ONE),
)
def show_job(request: KeyRequest, job_id: JobId) -> JobDetails:
    """One job with its options and every attempt."""
    return schemas.details(_job(request, job_id))


@router.get(
    "/{job_id}/result", url_name="api_result", summary="Fetch a result", **requires(Scope.JOBS, **FILE)
)
def fetch_result(request: KeyRequest, job_id: JobId) -> HttpResponseBase:
    """The cut-out as it came from the upstream; 404 while there is none."""
    found = _job(request, job_id)
    if not found.result:
        raise Refused(NOT_FOUND, NOT_FOUND, f"This job has no result: it is {found.state}.")
    kind = schemas.result_type(found)
    return _bytes(request, found.result, found.result_name, kind, found.result_sha256)


@router.get(
    "/{job_id}/source", url_name="api_source", summary="Fetch a source", **requires(Scope.JOBS, **FILE)
)
def fetch_source(request: KeyRequest, job_id: JobId) -> HttpResponseBase:
    """The picture as it was sent in."""
    found = _job(request, job_id)
    return _bytes(request, found.source, found.name, found.content_type, found.source_sha256)


def _job(request: KeyRequest, pk: int) -> Job:
    """Another team's job is told like one that isn't there."""
    try:
        return filters.of_team(request.auth.team).get(pk=pk)
    except Job.DoesNotExist as error:
        raise Refused(NOT_FOUND, NOT_FOUND, "The team has no such job.") from error


def _bytes(request: KeyRequest, file: FieldFile, name: str, kind: str, sha256: str) -> HttpResponseBase:
    """304 for whoever has these bytes already."""
    etag = f'"{sha256}"'
    response: HttpResponseBase | None = get_conditional_response(request, etag)
    if response is None:
        try:
            response = FileResponse(file.open(), as_attachment=True, filename=name, content_type=kind)
        except FileNotFoundError as error:
            raise requests.result_gone() from error
    response["ETag"], response["Cache-Control"] = etag, UNTIL_ASKED_AGAIN
    return response
