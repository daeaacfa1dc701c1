"""The pictures that a team puts behind its cut-outs."""

from typing import cast

from django.contrib import messages
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Role
from accounts.teams.permissions import enter
from jobs.intake.forms import UploadRefusedError, readable_picture
from jobs.models import Backdrop
from jobs.renditions import backdrops
from jobs.renditions.previews import Size
from jobs.storage.spool import FULL
from jobs.views.pictures import IMMUTABLE
from pixian.protocol import file_names
from pixian.protocol.errors import Refused, ServerFailed

MAX_NAME = 120


@require_POST
def add_backdrop(request: HttpRequest, team: str) -> HttpResponse:
    """Keep an uploaded picture; one that the team has already isn't kept twice."""
    member = enter(request, team, Role.MEMBER)
    file = cast("TemporaryUploadedFile | None", request.FILES.get("image"))
    if file is None:
        messages.error(request, _("Choose a picture first."))
        return redirect("presets", team=team)
    name = (file_names.clean(file.name or "") or file_names.UNNAMED)[:MAX_NAME]
    try:
        picture, header = readable_picture(file, member.team_id)
        with picture:
            backdrop = backdrops.store(member.team, member.user, picture, header, name)
    except UploadRefusedError as error:
        messages.error(request, error.message)
    except OSError as error:
        if error.errno not in FULL:
            raise
        messages.error(request, _("The server's disk is full. Tell the person who runs this site."))
    else:
        messages.success(request, _("%(name)s can be a background now.") % {"name": backdrop.name})
    return redirect("presets", team=team)


@require_GET
def show_backdrop(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Serve a small WebP of a background picture."""
    member = enter(request, team)
    backdrop = get_object_or_404(Backdrop, team=member.team, pk=pk)
    try:
        content = backdrops.thumbnail(backdrop, Size.TILE.edge)
    except (FileNotFoundError, Refused) as error:
        raise Http404 from error
    except ServerFailed as error:
        return HttpResponse(status=error.status, headers=error.headers())
    return HttpResponse(content, content_type="image/webp", headers={"Cache-Control": IMMUTABLE})


@require_POST
def delete_backdrop(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Delete a picture, as a manager or whoever added it."""
    member = enter(request, team, Role.MEMBER)
    backdrop = get_object_or_404(Backdrop, team=member.team, pk=pk)
    backdrops.check_may_delete(member, backdrop)
    backdrops.delete(backdrop)
    text = _("%(name)s is deleted. Styles that name it can't be made any more.")
    messages.success(request, text % {"name": backdrop.name})
    return redirect("presets", team=team)
