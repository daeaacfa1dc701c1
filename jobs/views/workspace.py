"""The workbench: drop pictures, watch them, take them away."""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import structlog
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.ledger.operations import LedgerError
from accounts.models import Membership, Role
from accounts.teams.permissions import enter, remember
from jobs.calls.attempts import estimate
from jobs.intake.forms import UploadForm, UploadRefusedError
from jobs.intake.submit import RequestReusedError, submit
from jobs.models import Job
from jobs.storage.spool import FULL
from jobs.views import hold_errors, polling
from pixian.protocol import file_names

BATCH_SHOWN = 200
MEGAPIXEL = 1_000_000
CREATED, CONFLICT, INSUFFICIENT_STORAGE = 201, 409, 507

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Refusal:
    """One file of a drop that was not accepted, and why."""

    name: str
    message: str
    status: int


@require_GET
def atelier(request: HttpRequest, team: str) -> HttpResponse:
    """The drop area, and the batch that is named in the address or begun by this page."""
    member = enter(request, team)
    remember(request, member.team)
    batch = _uuid(request.GET.get("batch")) or uuid4()
    return render(request, "jobs/atelier.html", _page(member, batch))


@require_GET
def batch(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """The batch's grid alone, for polling: nothing where nothing has changed."""
    member = enter(request, team)
    shown = {"team": member.team} | _grid(member, batch)
    return polling.fragment(request, "jobs/_grid.html", shown)


@require_POST
def upload(request: HttpRequest, team: str) -> HttpResponse:
    """Take in the dropped files, each on its own: one that is refused doesn't hold up the others.

    The page's script sends one file a request and is answered with a status and a text; a plain form
    sends all at once and is shown the page again.
    """
    member = enter(request, team, Role.MEMBER)
    batch = _uuid(request.POST.get("batch")) or uuid4()
    form = UploadForm({"batch": batch, "request_id": request.POST.get("request_id")})
    outcomes = [_submit(member, form, file) for file in request.FILES.getlist("image")]
    outcomes = outcomes or [Refusal("", _("Choose a picture first."), 400)]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    if request.headers.get("HX-Request"):
        status, text = (refusals[0].status, refusals[0].message) if refusals else (CREATED, "")
        return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
    if not refusals:
        return redirect(f"{reverse('atelier', args=[team])}?batch={batch}")
    shown = _page(member, batch) | {"refusals": refusals}
    return render(request, "jobs/atelier.html", shown, status=max(refusal.status for refusal in refusals))


def _submit(member: Membership, form: UploadForm, file: "UploadedFile[Any]") -> Job | Refusal:
    name = file_names.clean(file.name or "")
    try:
        upload = form.upload(cast("TemporaryUploadedFile", file), member.team_id)
        return submit(member.team, member.user, upload)
    except UploadRefusedError as error:
        return Refusal(name, error.message, error.status)
    except LedgerError as error:
        return Refusal(name, hold_errors.told(error), hold_errors.PAYMENT_REQUIRED)
    except RequestReusedError:
        return Refusal(name, _("Another picture was sent under this number before."), CONFLICT)
    except OSError as error:
        if error.errno not in FULL:
            raise
        log.error("the disk is full", error=str(error))  # noqa: TRY400 - where says nothing
        return Refusal(name, _no_room(), INSUFFICIENT_STORAGE)


def _no_room() -> str:
    return _("The server's disk is full, so nothing was stored and no credits were held. Tell its operator.")


def _page(member: Membership, batch: UUID) -> dict[str, object]:
    may_spend = member.role >= Role.MEMBER
    shown = {"team": member.team, "may_spend": may_spend, "batch": batch, "price": estimate(MEGAPIXEL)}
    return shown | _grid(member, batch)


def _grid(member: Membership, batch: UUID) -> dict[str, object]:
    jobs = Job.objects.with_books().filter(team=member.team, batch=batch).order_by("-pk")[:BATCH_SHOWN]
    return polling.context(jobs, reverse("batch", args=[member.team.slug, batch]))


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
