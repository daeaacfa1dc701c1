"""The batch page: watch a batch, settle what is wrong, take all of it away."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Role, User
from accounts.teams.permissions import enter, remember
from jobs.batches import changes as changed
from jobs.batches import control as controls
from jobs.batches import create, proof, register
from jobs.batches.cursor import Cursor
from jobs.batches.progress import progress
from jobs.models import Batch, Job
from jobs.search.pagination import key_of
from jobs.views import scripts
from jobs.views.batches import names, overview, tiles

NO_CONTENT = 204


@require_GET
def batch(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """Show the batch with a page of its tiles; the page's script polls the rest."""
    member = enter(request, team)
    remember(request, member.team)
    shown = scripts.batch_of(member, batch)
    page = tiles.page(shown, request.GET.get("show", ""), request.GET.get("after", ""))
    context = overview.page(shown, member) | page
    context |= {"team": member.team, "batch": shown, "names": names.of_batch(shown)}
    return render(request, "jobs/batch.html", context)


@require_GET
def changes(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """Return what changed since the page's cursor; 304 if it has seen all of it."""
    member = enter(request, team)
    shown = scripts.batch_of(member, batch)
    cursor = Cursor.parse(request.GET.get("since", ""))
    found = changed.since(shown.pk, member.team_id, cursor)
    reader = (get_language(), member.role)
    seen = request.headers.get("If-None-Match") == _quoted(found.digest(*reader))
    # The changes that a page has seen are looked through at each poll until its cursor has passed them.
    if seen and str(found.next) == str(cursor):
        return HttpResponseNotModified(headers={"ETag": _quoted(found.digest(*reader))})
    jobs = Job.objects.filter(pk__in=[] if seen else found.keys).order_by("updated_at", "pk")
    answer = overview.of(progress(shown), member) | {
        "cursor": str(found.next),
        "jobs": tiles.tiles(jobs, shown),
        "more": found.more,
        "balance": overview.balance(request, member.team),
    }
    etag = found.next_digest(*reader)
    headers = {"Cache-Control": "private, no-store"} | ({"ETag": _quoted(etag)} if etag else {})
    return JsonResponse(answer, headers=headers)


class ControlForm(forms.Form):
    """An action on a batch, or on some of its jobs."""

    ACTIONS = ("pause", "resume", "cancel", "retry", "take_over", "forget", "forget_missing")
    action = forms.ChoiceField(choices=[(name, name) for name in ACTIONS])
    state = forms.ChoiceField(required=False, choices=[(state, state) for state in ("failed", "cancelled")])


@require_POST
def control(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """Pause, resume, cancel, retry or pay for pictures, or take refused or missing files off the batch."""
    member = enter(request, team, Role.MEMBER)
    shown, form = scripts.batch_of(member, batch), ControlForm(request.POST)
    if not form.is_valid():
        return HttpResponse(status=400)
    action, keys = form.cleaned_data["action"], _keys(request)
    if action == "cancel":
        return _cancel(request, shown, keys)
    return _done(request, shown, _act(shown, member.user, action, form.cleaned_data["state"], keys))


def _cancel(request: HttpRequest, shown: Batch, keys: list[int] | None) -> HttpResponse:
    """Cancel, and tell a script which pictures were: only those it may offer to undo."""
    cancelled = controls.cancel(shown, keys)
    if request.headers.get("HX-Request"):
        return JsonResponse({"cancelled": cancelled})
    text = ngettext(
        "%(count)s picture cancelled; what was held for it was given back.",
        "%(count)s pictures cancelled; what was held for them was given back.",
        len(cancelled),
    )
    return _done(request, shown, text % {"count": len(cancelled)})


def _act(shown: Batch, user: User, action: str, state: str, keys: list[int] | None) -> str:
    """Do it, and return what was done."""
    match action:
        case "pause":
            controls.pause(shown)
            return _("Paused. What is being cut out is finished.")
        case "resume":
            controls.resume(shown)
            return _("Resumed.")
        case "retry" | "take_over":
            if action == "retry":
                count = controls.retry(shown, user, keys, state=state)
            else:
                count = controls.take_over(shown, user)
            text = ngettext("%(count)s picture goes again.", "%(count)s pictures go again.", count)
            return text % {"count": count}
        case _:
            if action == "forget_missing":
                count = controls.forget_missing(shown) if register.is_abandoned(shown) else 0
            else:
                count = controls.forget_refused(shown)
            text = ngettext("%(count)s file removed.", "%(count)s files removed.", count)
            return text % {"count": count}


@require_POST
def rename(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    member = enter(request, team, Role.MEMBER)
    shown = scripts.batch_of(member, batch)
    create.rename(shown, request.POST.get("name", ""))
    return _done(request, shown, _("Renamed."))


class ProofForm(forms.Form):
    """A decision on cut-outs; none takes an earlier one back."""

    proof = forms.ChoiceField(required=False, choices=Job.Proof.choices)


@require_POST
def decide(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """Approve or reject the selected cut-outs."""
    member = enter(request, team, Role.MEMBER)
    shown, form = scripts.batch_of(member, batch), ProofForm(request.POST)
    if not form.is_valid():
        return HttpResponse(status=400)
    count = proof.decide(shown, _keys(request) or [], form.cleaned_data["proof"], member.user)
    text = ngettext("%(count)s cut-out decided.", "%(count)s cut-outs decided.", count)
    return _done(request, shown, text % {"count": count})


def _keys(request: HttpRequest) -> list[int] | None:
    """Return the keys of the jobs that the form names; None if it names none."""
    keys = request.POST.getlist("job")
    return [key for text in keys if (key := key_of(text)) is not None] if keys else None


def _done(request: HttpRequest, shown: Batch, text: str) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(status=NO_CONTENT)
    messages.success(request, text)
    return redirect(shown)


def _quoted(etag: str) -> str:
    return f'"{etag}"'
