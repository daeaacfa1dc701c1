"""Begin a batch, list what it will get, and tell what is missing and what it costs; for scripts."""

from dataclasses import asdict
from http import HTTPStatus
from uuid import UUID

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Role
from accounts.teams.permissions import enter
from jobs.batches import create, register, sources
from jobs.batches.register import Listing, NotAFileError, TooManyFilesError
from jobs.views import scripts


@require_POST
def open_batch(request: HttpRequest, team: str) -> HttpResponse:
    """Begin the batch whose id the browser has made; repeating it is harmless."""
    member = enter(request, team, Role.MEMBER)
    data = scripts.json_object(request)
    name = data.get("name", "")
    name = register.clean_name(name) if isinstance(name, str) and name.strip() else ""
    try:
        batch = create.open_batch(member.team, member.user, scripts.uuid(data.get("id")), name)
    except create.NotOursError as error:
        raise Http404 from error
    return JsonResponse({"url": batch.get_absolute_url()}, status=HTTPStatus.CREATED)


@require_POST
def files(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """List files that will be uploaded; answer with those that need no upload (any more)."""
    member = enter(request, team, Role.MEMBER)
    its_batch = scripts.batch_of(member, batch)
    asked = scripts.listed(scripts.json_object(request), "files", register.MAX_AT_ONCE)
    try:
        listings = [Listing.parse(each) for each in asked]
        register.register(its_batch, listings)
    except NotAFileError as error:
        raise BadRequest(str(error)) from error
    except TooManyFilesError:
        return scripts.text(too_many_files(), HTTPStatus.BAD_REQUEST)
    ids = [listing.request_id for listing in listings]
    known, refused = register.uploaded(its_batch, ids), register.refused(its_batch, ids)
    return JsonResponse({"known": list(map(str, known)), "refused": refused})


@require_GET
def missing(request: HttpRequest, team: str, batch: UUID) -> JsonResponse:
    """List the files that still have to be chosen and uploaded, and tell if nobody seems to upload them."""
    member = enter(request, team)
    its_batch = scripts.batch_of(member, batch)
    columns = ("request_id", "number", "name", "folder", "bytes", "sha256")
    rows = list(register.missing(its_batch).values(*columns))
    return JsonResponse({"files": rows, "abandoned": bool(rows) and register.is_abandoned(its_batch)})


@require_POST
def addresses(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """List addresses of pictures, which a worker fetches; only the batch's author may, who pays for them."""
    member = enter(request, team, Role.MEMBER)
    its_batch = scripts.batch_of(member, batch)
    listed = list(sources.lines(request.POST.get("urls", "")))
    if not 0 < len(listed) <= sources.MAX_ADDRESSES:
        message = _("List 1 to %(count)s addresses, one on each line.") % {"count": sources.MAX_ADDRESSES}
        return scripts.text(message, HTTPStatus.BAD_REQUEST)
    if its_batch.created_by_id != member.user_id:
        message = _("Only the person who began this batch can add addresses. Begin a batch of your own.")
        return scripts.text(message, HTTPStatus.FORBIDDEN)
    try:
        added = sources.add(its_batch, listed)
    except TooManyFilesError:
        return scripts.text(too_many_files(), HTTPStatus.BAD_REQUEST)
    return JsonResponse(asdict(added))


def too_many_files() -> str:
    message = _(
        "A batch has at most %(count)s pictures. Nothing was added; begin another batch for the rest."
    )
    return message % {"count": register.MAX_FILES}
