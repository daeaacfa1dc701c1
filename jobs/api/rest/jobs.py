"""Routes for a team's jobs: find them, explain them, fetch their files."""

from typing import Annotated
from uuid import UUID

from django.db.models import Exists, OuterRef, prefetch_related_objects
from django.db.models.fields.files import FieldFile
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from ninja import Path, Query, Router
from pydantic import Field

from accounts.models import Scope, Team, User
from jobs.api import requests
from jobs.api.openapi.responses import FILE, ONE
from jobs.api.rest import schemas
from jobs.api.rest.auth import KeyRequest, requires
from jobs.api.rest.fields import MAX_ID, Listed, Paged, next_page, one_of
from jobs.api.rest.schemas import JobDetails, JobSummary
from jobs.models import Job
from jobs.models.verdicts import Verdict
from jobs.renditions import render
from jobs.renditions.render import RenditionError
from jobs.renditions.style import PLAIN
from jobs.search import filters
from jobs.search.filters import JobFilter
from pixian.protocol.errors import Refused

NOT_FOUND = 404
NOBODY = 0
REVALIDATE = "private, no-cache"
"""A client may keep the bytes, and asks each time if its key still opens them."""

router = Router(tags=["Jobs"])

JobId = Annotated[int, Path(ge=1, le=MAX_ID)]


class JobQuery(Paged):
    state: Annotated[Job.State, one_of(Job.State)] | None = None
    origin: Annotated[Job.Origin, one_of(Job.Origin)] | None = None
    key: str | None = Field(None, max_length=15, description="The API Id of the key that sent it.")
    name: str | None = Field(
        None, max_length=255, pattern=r"^[^\x00]*$", description="Part of the picture's name."
    )
    person: str | None = Field(
        None, max_length=254, pattern=r"^[^\x00]*$", description="The e-mail address of who sent it."
    )
    verdict: Annotated[Verdict, one_of(Verdict)] | None = None
    batch: UUID | None = Field(None, description="The batch's id, as in its page's address.")
    test: bool | None = Field(None, description="Only free tests, or none of them.")

    def to_filter(self, team: Team) -> JobFilter:
        return JobFilter(
            state=self.state,
            origin=self.origin,
            key=self.key,
            name=self.name or None,
            span=self.date_range,
            person=None if self.person is None else _person(team, self.person),
            test=self.test,
            verdict=self.verdict,
            batch=self.batch,
        )


class JobList(Listed[JobSummary]):
    """A page of jobs, newest first."""


@router.get("", response=JobList, url_name="api_jobs", summary="List jobs", **requires(Scope.JOBS))
def list_jobs(request: KeyRequest, query: Query[JobQuery]) -> JobList:
    """List the team's jobs, newest first.

    Each page searches the next 20,000 jobs, or 4,000 with a verdict: it may have fewer items than its limit,
    or none, while ``next`` says where to continue.
    """
    team = request.auth.team
    page = filters.page(team, query.to_filter(team), query.before, query.limit)
    prefetch_related_objects(page.rows, schemas.PLAIN_PNG)
    return JobList(items=[schemas.summary(job) for job in page.rows], next=next_page(request, page))


@router.get(
    "/{job_id}",
    response=JobDetails,
    url_name="api_job",
    summary="Explain a job",
    **requires(Scope.JOBS, **ONE),
)
def show_job(request: KeyRequest, job_id: JobId) -> JobDetails:
    """Show a job with its options and all its attempts."""
    job = _job(request, job_id)
    prefetch_related_objects([job], schemas.PLAIN_PNG)
    return schemas.details(job)


@router.get(
    "/{job_id}/result", url_name="api_result", summary="Fetch a result", **requires(Scope.JOBS, **FILE)
)
def fetch_result(request: KeyRequest, job_id: JobId) -> HttpResponseBase:
    """Fetch the cut-out; 404 while there is none.

    The result of a call is what came from the upstream, byte for byte. That of a picture from the browser is
    the whole cut-out as a transparent PNG, made at 0 credits when it is first fetched.
    """
    job = _job(request, job_id)
    if not job.result:
        raise Refused(NOT_FOUND, NOT_FOUND, f"This job has no result: it is {job.state}.")
    if job.erased_at:
        raise requests.result_gone()
    if job.has_delta_master:
        return _plain_response(request, job)
    content_type = schemas.result_type(job)
    return _file_response(request, job.result, job.result_name, content_type, job.result_sha256)


@router.get(
    "/{job_id}/source", url_name="api_source", summary="Fetch a source", **requires(Scope.JOBS, **FILE)
)
def fetch_source(request: KeyRequest, job_id: JobId) -> HttpResponseBase:
    """Fetch the picture as it was sent in."""
    job = _job(request, job_id)
    if job.erased_at:
        raise requests.result_gone()
    return _file_response(request, job.source, job.name, job.content_type, job.source_sha256)


def _person(team: Team, email: str) -> int:
    """Return the user's key; NOBODY for an address that none of the team's people has, now or before."""
    people = User.objects.filter(email__iexact=email)
    brought = Job.objects.filter(team=team, created_by=OuterRef("pk"))
    pk = people.filter(Exists(brought)).values_list("pk", flat=True).first()
    return NOBODY if pk is None else pk


def _job(request: KeyRequest, pk: int) -> Job:
    """Return a job of the key's team; raises Refused 404 for another team's as for none."""
    try:
        return filters.of_team(request.auth.team).get(pk=pk)
    except Job.DoesNotExist as error:
        raise Refused(NOT_FOUND, NOT_FOUND, "The team has no such job.") from error


def _plain_response(request: KeyRequest, job: Job) -> HttpResponseBase:
    try:
        row = render.make(job, PLAIN)
    except RenditionError as error:
        raise requests.result_gone() from error
    return _file_response(request, row.file, job.result_name, row.content_type, row.sha256)


def _file_response(
    request: KeyRequest, file: FieldFile, name: str, content_type: str, sha256: str
) -> HttpResponseBase:
    """Return a file's bytes, or 304 if the client has them already."""
    etag = f'"{sha256}"'
    response: HttpResponseBase | None = get_conditional_response(request, etag)
    if response is None:
        try:
            response = FileResponse(file.open(), as_attachment=True, filename=name, content_type=content_type)
        except FileNotFoundError as error:
            raise requests.result_gone() from error
    response["ETag"], response["Cache-Control"] = etag, REVALIDATE
    return response
