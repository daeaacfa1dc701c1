"""Take in pictures: one a request from the page's script, or several from a plain form."""

from http import HTTPStatus
from typing import cast
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.models import Membership, Role
from accounts.teams.permissions import enter
from jobs.batches import register
from jobs.batches.create import NotOursError, open_batch
from jobs.batches.receive import receive
from jobs.batches.register import TooManyFilesError
from jobs.intake import full_disk
from jobs.intake.chunks import UnfinishedUpload
from jobs.intake.forms import UploadRefusedError
from jobs.models import Batch, BatchFile
from jobs.views import scripts
from jobs.views.intake.batch_files import too_many_files


@require_POST
def batch_upload(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """Take in one file of a batch: 201, or a status and a text that says why not."""
    member = enter(request, team, Role.MEMBER)
    try:
        file = _listed(member, batch, request.POST.get("request_id"))
        if "assembled" in request.POST:
            _assemble(file, member)
        else:
            receive(file, member.user, _picture(request))
    except UploadRefusedError as error:
        return scripts.text(error.message, error.status)
    return HttpResponse(status=HTTPStatus.CREATED)


@require_POST
def upload(request: HttpRequest, team: str) -> HttpResponse:
    """Begin a batch with the files of a plain form: one that is refused doesn't hold up the others."""
    member = enter(request, team, Role.MEMBER)
    pictures = request.FILES.getlist("image")
    if not pictures:
        messages.error(request, _("Choose a picture first."))
        return redirect("workspace", team=team)
    batch = _batch(member, request.POST.get("batch"))
    listings = [register.named(picture.name or "") for picture in pictures]
    try:
        register.register(batch, listings)
    except TooManyFilesError:
        messages.error(request, too_many_files())
        return redirect(batch)
    rows = batch.files.select_related("batch__team")
    for listing, picture in zip(listings, pictures, strict=True):
        file = rows.get(request_id=listing.request_id)
        try:
            receive(file, member.user, cast("TemporaryUploadedFile", picture))
        except UploadRefusedError as error:
            if not file.problem:  # which the batch's page doesn't show
                messages.error(request, f"{file.name}: {error.message}")
    return redirect(batch)


def _batch(member: Membership, batch: str | None) -> Batch:
    """Return the batch that the form names, or a new one."""
    try:
        return open_batch(member.team, member.user, _uuid(batch) or uuid4())
    except NotOursError as error:
        raise Http404 from error


def _listed(member: Membership, batch: UUID, request_id: str | None) -> BatchFile:
    """Return a file of the team's batch; raise UploadRefusedError if it isn't listed there."""
    files = BatchFile.objects.select_related("batch__team").filter(batch__team=member.team, batch=batch)
    file = files.filter(request_id__in=filter(None, [_uuid(request_id)])).first()
    if file is None:
        scripts.batch_of(member, batch)  # or 404
        message = _("This picture isn't listed in the batch. Reload the page, then choose it again.")
        raise UploadRefusedError(message, HTTPStatus.CONFLICT)
    return file


def _picture(request: HttpRequest) -> TemporaryUploadedFile:
    picture = request.FILES.get("image")
    if picture is None:
        raise UploadRefusedError(_("Choose a picture first."))
    return cast("TemporaryUploadedFile", picture)


def _assemble(file: BatchFile, member: Membership) -> None:
    """Take in a file whose chunks are all here; raise UploadRefusedError, with 409 if one is missing."""
    upload = UnfinishedUpload(member.team_id, member.user_id, file.request_id)
    with full_disk.refusing(), upload.assemble() as picture:
        if _has_arrived(file):  # by an earlier request, whose answer was lost
            return upload.discard()
        if not picture.size or picture.size != (file.bytes or picture.size):
            message = _("A part of this picture hasn't arrived. Upload it again.")
            raise UploadRefusedError(message, HTTPStatus.CONFLICT)
        try:
            receive(file, member.user, picture)
        finally:
            if file.problem or _has_arrived(file):
                upload.discard()
    return None


def _has_arrived(file: BatchFile) -> bool:
    return bool(register.uploaded(file.batch, [file.request_id]))


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
