"""Show a picture in a style, take it away in it, and restyle a whole batch, all at 0 credits."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Role
from accounts.teams.permissions import enter
from jobs.models import Job
from jobs.renditions import apply, render
from jobs.renditions.forms import OutputsForm
from jobs.renditions.previews import Size
from jobs.renditions.render import RenditionError
from jobs.renditions.style import Style, StyleError
from jobs.renditions.styled import styled_preview
from jobs.storage.spool import FULL
from jobs.views import scripts
from jobs.views.attachments import attachment
from jobs.views.pictures import IMMUTABLE
from pixian.protocol import file_names
from pixian.protocol.errors import ServerFailed

NO_CONTENT, BAD_REQUEST, UNPROCESSABLE = 204, 400, 422


@require_GET
def styled(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Serve a small WebP of a picture in the style that the address states."""
    job = _job(request, team, pk)
    size = Size.TILE if request.GET.get("size") == Size.TILE else Size.PAGE
    try:
        style = Style.from_json(request.GET.get("style", ""))
        content = styled_preview(job, style, size)
    except (StyleError, RenditionError, ServerFailed) as error:
        return _refusal(error)
    return HttpResponse(content, content_type="image/webp", headers={"Cache-Control": IMMUTABLE})


@require_GET
def styled_download(request: HttpRequest, team: str, pk: int) -> HttpResponseBase:
    """Serve a picture in a style in full size; it is made on the first request."""
    job = _job(request, team, pk)
    try:
        style = Style.from_json(request.GET.get("style", ""))
        row = render.make(job, style)
        name = file_names.cut_out_name(job.name, style.format.extension)
        return attachment(row.file, name, row.content_type)
    except (StyleError, RenditionError, ServerFailed, OSError) as error:
        return _refusal(error)


@require_POST
def batch_outputs(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """Let a batch's pictures become a preset, a recipe or a style; workers make them at 0 credits."""
    member = enter(request, team, Role.MEMBER)
    shown = scripts.batch_of(member, batch)
    form = OutputsForm(member.team, request.POST)
    is_script = bool(request.headers.get("HX-Request"))
    if not form.is_valid():
        if is_script:
            return scripts.text(form.problem, BAD_REQUEST)
        messages.error(request, form.problem)
        return redirect("batch", team=team, batch=batch)
    wanted = apply.apply(shown, form.outputs)
    if is_script:
        return HttpResponse(status=NO_CONTENT)
    text = ngettext(
        "%(count)s file is being made, for 0 credits.",
        "%(count)s files are being made, for 0 credits.",
        wanted,
    )
    messages.success(request, text % {"count": wanted})
    return redirect("batch", team=team, batch=batch)


def _job(request: HttpRequest, team: str, pk: int) -> Job:
    member = enter(request, team)
    job = get_object_or_404(Job.objects.select_related("team", "reused_from"), team=member.team, pk=pk)
    if not job.has_result:
        raise Http404
    return job


def _refusal(error: Exception) -> HttpResponse:
    """Return why a style can't be shown, in the reader's language."""
    if isinstance(error, ServerFailed):
        text = _("Too many pictures are being made right now. Try again in a few seconds.")
        return scripts.text(text, error.status, error.headers())
    if isinstance(error, StyleError):
        return scripts.text(error.message, BAD_REQUEST)
    if isinstance(error, RenditionError):
        return scripts.text(error.translated, UNPROCESSABLE)
    if isinstance(error, OSError) and error.errno in FULL:
        return scripts.disk_full()
    raise error
