"""Serve the bytes of a job's pictures, after checking the team."""

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from accounts.teams.permissions import enter
from jobs.models import Job
from jobs.renditions import render
from jobs.renditions.previews import Side, Size, preview
from jobs.renditions.render import RenditionError
from jobs.renditions.style import PLAIN
from jobs.storage.spool import FULL
from jobs.views import scripts
from jobs.views.attachments import attachment
from pixian.protocol.errors import Refused, ServerFailed

# A job's source never changes, and each attempt's result has a name of its own.
IMMUTABLE = "private, max-age=31536000, immutable"


@require_GET
def show(request: HttpRequest, team: str, pk: int, side: str, size: str) -> HttpResponseBase:
    """Serve a small WebP for a page."""
    job = _job(request, team, pk)
    if job.erased_at or (side == Side.AFTER and not job.result):
        raise Http404
    try:
        file = default_storage.open(preview(job, Side(side), Size(size)))
    except (FileNotFoundError, Refused) as error:
        raise Http404 from error
    except ServerFailed as error:
        return HttpResponse(status=error.status, headers=error.headers())
    return FileResponse(file, content_type="image/webp", headers={"Cache-Control": IMMUTABLE})


@require_GET
def download(request: HttpRequest, team: str, pk: int) -> HttpResponseBase:
    """Serve the cut-out under the original's name: as it came, or as a PNG made from a delta PNG."""
    job = _job(request, team, pk)
    if not job.has_result:
        raise Http404
    try:
        row = render.make(job, PLAIN) if job.has_delta_master else None
        content_type = row.content_type if row else job.result_type
        return attachment(row.file if row else job.result, job.result_name, content_type)
    except (FileNotFoundError, RenditionError) as error:
        raise Http404 from error
    except ServerFailed as error:
        return HttpResponse(status=error.status, headers=error.headers())
    except OSError as error:
        if error.errno not in FULL:
            raise
        return scripts.disk_full()


def _job(request: HttpRequest, team: str, pk: int) -> Job:
    member = enter(request, team)
    return get_object_or_404(Job, team=member.team, pk=pk)
