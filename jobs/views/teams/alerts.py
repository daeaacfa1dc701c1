"""Hide a warning that its reader has seen."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from jobs.events import alert_notes
from jobs.models import Alert


@require_POST
def hide(request: HttpRequest, pk: int) -> HttpResponse:
    """Hide it for the rest of the session; other readers, and its next time, are shown."""
    if alert := Alert.objects.filter(pk=pk).first():  # else it is shown nowhere
        alert_notes.hide(request, alert)
    back = request.POST.get("next", "")
    return HttpResponseRedirect(back if url_has_allowed_host_and_scheme(back, None) else "/")
