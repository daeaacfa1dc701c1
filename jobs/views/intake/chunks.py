"""Take in a file chunk by chunk, and say how much of it is here, so that a browser goes on from there."""

from http import HTTPStatus
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import Role
from accounts.teams.permissions import enter
from jobs.batches import register
from jobs.batches.receive import check_not_removed
from jobs.intake import full_disk
from jobs.intake.chunks import CHUNK_BYTES, UnfinishedUpload
from jobs.intake.forms import UploadRefusedError, oversize_message
from jobs.models import BatchFile
from jobs.views import scripts


@require_http_methods(["GET", "POST"])
def chunk(request: HttpRequest, team: str, batch: UUID, request_id: UUID) -> HttpResponse:
    """Store a chunk of a listed file, and answer with the bytes that are here without a gap."""
    member = enter(request, team, Role.MEMBER)
    files = BatchFile.objects.select_related("batch").filter(batch__team=member.team, batch=batch)
    file = get_object_or_404(files, request_id=request_id)
    if register.uploaded(file.batch, [request_id]):  # the answer to the last request was lost
        return JsonResponse({"received": file.bytes or 0, "done": True})
    upload = UnfinishedUpload(member.team_id, member.user_id, request_id)
    if request.method == "POST":
        try:
            with full_disk.refusing():
                upload.add(*_offset_and_content(request, file))
        except UploadRefusedError as error:
            return scripts.text(error.message, error.status)
    return JsonResponse({"received": upload.received(), "done": False})


def _offset_and_content(request: HttpRequest, file: BatchFile) -> tuple[int, bytes]:
    """Return a request's chunk; raise UploadRefusedError if it can't be a part of the file."""
    check_not_removed(file)
    offset = request.GET.get("offset", "")
    if not (offset.isascii() and offset.isdigit() and len(offset) <= len(str(CHUNK_BYTES)) + 3):
        raise UploadRefusedError(_("The browser sent something we can't read"))
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    end = int(offset) + length
    if message := oversize_message(end):
        raise UploadRefusedError(message, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if not 0 < length <= CHUNK_BYTES or (file.bytes and end > file.bytes):
        raise UploadRefusedError(_("The browser sent something we can't read"))
    return int(offset), request.body
