"""Pages that belong to the site as a whole."""

import errno
import sys

import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_safe

from pixian_web import health, liveness

log = structlog.get_logger(__name__)

FORBIDDEN, TOO_MANY_REQUESTS, SERVER_ERROR, UNAVAILABLE, INSUFFICIENT_STORAGE = 403, 429, 500, 503, 507
RETRY_AFTER_SECONDS = 10
FORGOTTEN_AFTER_MINUTES = 5
"""No limit on a page looks further back (ACCOUNT_RATE_LIMITS, and allauth's own)."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@login_not_required
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 if web is up and its database answers, else 503. For probes: what is wrong is for staff."""
    if liveness.database_answers():
        return HttpResponse("ok\n", content_type="text/plain")
    return HttpResponse("not ok\n", status=UNAVAILABLE, content_type="text/plain")


@require_GET
def health_page(request: HttpRequest) -> HttpResponse:
    """What an operator has to know: each part of the instance, and what is wrong with it. For staff."""
    if not getattr(request.user, "is_staff", False):
        raise Http404
    checks = health.checks()
    return render(request, "health.html", {"checks": checks, "healthy": all(c.fine for c in checks)})


@login_not_required
def too_often(request: HttpRequest) -> HttpResponse:
    """Where somebody guessed or asked too often: when to come back."""
    minutes = FORGOTTEN_AFTER_MINUTES
    page = render(request, "429.html", {"minutes": minutes}, status=TOO_MANY_REQUESTS)
    page["Retry-After"] = str(minutes * 60)
    return page


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django passes it
    """Refuse a form without its token. Over plain HTTP the browser keeps no cookie of a site set up for
    HTTPS, so that no token ever fits: then the page says so."""
    insecure = settings.BEHIND_HTTPS and not request.is_secure()
    page = render_to_string("403_csrf.html", {"public_url": settings.PUBLIC_URL if insecure else ""})
    return HttpResponse(page, status=FORBIDDEN)


@login_not_required
def broken(request: HttpRequest) -> HttpResponse:
    """Where a view failed. What an operator can mend is said plainly, and scripts are told in plain text."""
    status, heading, meaning = _what_broke(sys.exc_info()[1])
    if request.headers.get("HX-Request"):
        return HttpResponse(meaning, status=status, content_type="text/plain; charset=utf-8")
    # Without the request's own context, which would ask the database who is there.
    page = render_to_string("500.html", {"heading": heading, "meaning": meaning})
    response = HttpResponse(page, status=status)
    if status == UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _what_broke(error: BaseException | None) -> tuple[int, str, str]:
    full = isinstance(error, OSError) and error.errno in FULL
    if full or (isinstance(error, OperationalError) and "disk is full" in str(error)):
        log.error("the disk is full", error=str(error))
        text = _(
            "The server's disk is full, so nothing was stored and no credits were held. Tell its operator."
        )
        return INSUFFICIENT_STORAGE, _("There is no room left"), text
    if isinstance(error, OperationalError | InterfaceError):
        log.error("the database doesn't answer", error=str(error).strip())
        text = _("The database doesn't answer. Try again in a minute; what was accepted before is safe.")
        return UNAVAILABLE, _("Out of order for a moment"), text
    text = _(
        "Pictures that were accepted are safe and their credits accounted for. Load the page again; if it "
        "happens once more, tell the person who runs this site when it happened."
    )
    return SERVER_ERROR, _("Something broke on our side"), text
