"""The workspace: drop pictures, watch them, take the cut-outs away."""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import structlog
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.ledger.operations import LedgerError
from accounts.models import Membership, Role
from accounts.teams.permissions import enter, remember
from jobs.batches.create import NotOursError, open_batch
from jobs.calls.attempts import estimate
from jobs.intake.forms import UploadForm, UploadRefusedError
from jobs.intake.submit import RequestReusedError, submit
from jobs.models import Job
from jobs.storage.spool import FULL
from jobs.views import hold_errors
from pixian.protocol import file_names

MEGAPIXEL = 1_000_000
CREATED, CONFLICT, INSUFFICIENT_STORAGE = 201, 409, 507

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Refusal:
    """A file of a drop that wasn't accepted, and why."""

    name: str
    message: str
    status: int


@require_GET
def workspace(request: HttpRequest, team: str) -> HttpResponse:
    """Show the drop area, and the batch that the address names or this page begins."""
    member = enter(request, team)
    remember(request, member.team)
    batch = _uuid(request.GET.get("batch")) or uuid4()
    return render(request, "jobs/workspace.html", _page(member, batch))


@require_POST
def upload(request: HttpRequest, team: str) -> HttpResponse:
    """Submit the dropped files, each on its own: one that is refused doesn't hold up the others.

    The page's script sends one file per request and gets a status and a text; a plain form sends all of them
    and gets the page again.
    """
    member = enter(request, team, Role.MEMBER)
    try:
        batch = open_batch(member.team, member.user, _uuid(request.POST.get("batch")) or uuid4()).pk
    except NotOursError as error:
        raise Http404 from error
    form = UploadForm({"batch": batch, "request_id": request.POST.get("request_id")})
    outcomes = [_submit(member, form, file) for file in request.FILES.getlist("image")]
    outcomes = outcomes or [Refusal("", _("Choose a picture first."), 400)]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    if request.headers.get("HX-Request"):
        status, text = (refusals[0].status, refusals[0].message) if refusals else (CREATED, "")
        return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
    if not refusals:
        return redirect(f"{reverse('workspace', args=[team])}?batch={batch}")
    context = _page(member, batch) | {"refusals": refusals}
    return render(request, "jobs/workspace.html", context, status=max(refusal.status for refusal in refusals))


def _submit(member: Membership, form: UploadForm, file: "UploadedFile[Any]") -> Job | Refusal:
    name = file_names.clean(file.name or "")
    try:
        upload = form.upload(cast("TemporaryUploadedFile", file), member.team_id)
        return submit(member.team, member.user, upload)
    except UploadRefusedError as error:
        return Refusal(name, error.message, error.status)
    except LedgerError as error:
        return Refusal(name, hold_errors.message_for(error), hold_errors.PAYMENT_REQUIRED)
    except RequestReusedError:
        message = _(
            "Another picture was already uploaded under this request number. Reload the page, then "
            "upload this one again."
        )
        return Refusal(name, message, CONFLICT)
    except OSError as error:
        if error.errno not in FULL:
            raise
        log.error("the disk is full", error=str(error))  # noqa: TRY400 - a traceback adds nothing
        message = _(
            "The server's disk is full, so nothing was stored and no credits were held. Tell the "
            "person who runs this site."
        )
        return Refusal(name, message, INSUFFICIENT_STORAGE)


def _page(member: Membership, batch: UUID) -> dict[str, object]:
    may_spend = member.role >= Role.MEMBER
    return {"team": member.team, "may_spend": may_spend, "batch": batch, "price": estimate(MEGAPIXEL)}


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
