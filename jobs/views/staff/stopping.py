"""Let staff stop all calls to the upstream, and start them again."""

from typing import cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.models.audit import MAX_REASON
from accounts.teams.permissions import staff_only
from jobs.batches import control
from jobs.queue import stopping


class StopForm(forms.Form):
    """A reason, which everybody who waits is shown."""

    why = forms.CharField(label=gettext_lazy("Why"), max_length=MAX_REASON)


@staff_only
@require_POST
def stop_calls(request: HttpRequest) -> HttpResponse:
    """Stop all calls; those under way are finished."""
    form = StopForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Say why, in at most 400 characters. Those who wait will read it."))
    elif stopping.stop(form.cleaned_data["why"], cast("User", request.user)):
        messages.success(request, _("No call begins any more. Those under way are finished."))
    else:
        messages.info(request, _("The calls were stopped already."))
    return redirect("upstream")


@staff_only
@require_POST
def start_calls(request: HttpRequest) -> HttpResponse:
    """Start the calls again, with what waits paused if the form says so."""
    # First, so that no picture slips through in between.
    paused = control.pause_all() if "pause" in request.POST else 0
    if not stopping.start(cast("User", request.user)):
        messages.info(request, _("The calls weren't stopped."))
    else:
        messages.success(request, _("Calls begin again."))
    if paused:
        text = ngettext(
            "%(count)s batch is paused. Its team resumes it.",
            "%(count)s batches are paused. Their teams resume them.",
            paused,
        )
        messages.info(request, text % {"count": paused})
    return redirect("upstream")
