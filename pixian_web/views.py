"""Serve health and error pages for the whole site."""

import sys

import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from accounts import request_id
from accounts.teams.permissions import staff_only
from accounts.templatetags.teams import THEME_COOKIE, known_theme
from jobs.storage.files import StorageUnavailableError
from jobs.storage.spool import FULL
from pixian_web import health, readiness

log = structlog.get_logger(__name__)

OK, FORBIDDEN, TOO_MANY_REQUESTS = 200, 403, 429
SERVER_ERROR, UNAVAILABLE, INSUFFICIENT_STORAGE = 500, 503, 507
RETRY_AFTER_SECONDS = 10
YEAR_SECONDS = 365 * 24 * 60 * 60
LONGEST_LIMIT_MINUTES = 5
"""No rate limit on a page covers a longer time (ACCOUNT_RATE_LIMITS, and allauth's own)."""


@login_not_required
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Return 200: this process answers. It asks nobody, so that no restart is caused by a part elsewhere."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@login_not_required
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Return each part of the instance with true or false, as 200 if all are fine, else 503.

    Strangers may ask, so it doesn't say why; the log and the health page do.
    """
    parts = readiness.parts()
    is_ready = all(parts.values())
    return JsonResponse({"ready": is_ready, "parts": parts}, status=OK if is_ready else UNAVAILABLE)


@staff_only
@require_GET
def health_page(request: HttpRequest) -> HttpResponse:
    """Show staff each part of the instance and what is wrong with it."""
    return _health(request, health.checks())


@staff_only
@require_GET
def upstream_health(request: HttpRequest) -> HttpResponse:
    """Ask the upstream: for the row that the page fetches, or without a script for the whole page."""
    asked = health.upstream()
    if request.headers.get("HX-Request"):
        return render(request, "staff/_asked.html", {"check": asked})
    return _health(request, [asked, *(check for check in health.checks() if check.fine is not None)])


def _health(request: HttpRequest, checks: list[health.Check]) -> HttpResponse:
    healthy = all(check.fine is not False for check in checks)
    return render(request, "health.html", {"checks": checks, "healthy": healthy})


@login_not_required
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Remember the theme on this device, and lead back to the page that the form was on.

    In a cookie, so that the server writes it into the page and nothing flashes while the page loads.
    """
    page = request.POST.get("next") or request.META.get("HTTP_REFERER", "")
    hosts = {request.get_host()}
    is_ours = url_has_allowed_host_and_scheme(page, allowed_hosts=hosts, require_https=request.is_secure())
    response = HttpResponseRedirect(page if is_ours else "/")
    response.set_cookie(
        THEME_COOKIE,
        known_theme(request.POST.get("theme")),
        max_age=YEAR_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


@login_not_required
def too_often(request: HttpRequest) -> HttpResponse:
    """Tell a client that exceeded a rate limit when to come back."""
    minutes = LONGEST_LIMIT_MINUTES
    page = render(request, "429.html", {"minutes": minutes}, status=TOO_MANY_REQUESTS)
    page["Retry-After"] = str(minutes * 60)
    return page


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django passes it
    """Refuse a form without a valid token.

    A site set up for HTTPS marks its cookies secure, so a browser on plain HTTP never has a valid token. The
    page then says so.
    """
    insecure = settings.BEHIND_HTTPS and not request.is_secure()
    page = render_to_string("403_csrf.html", {"public_url": settings.PUBLIC_URL if insecure else ""})
    return HttpResponse(page, status=FORBIDDEN)


@login_not_required
def broken(request: HttpRequest) -> HttpResponse:
    """Return the page for a view that failed, or plain text for a script.

    What an operator can fix is stated plainly.
    """
    status, heading, meaning = _what_broke(sys.exc_info()[1])
    if request.headers.get("HX-Request"):
        return HttpResponse(meaning, status=status, content_type="text/plain; charset=utf-8")
    # Without the request's context: it would load the user from a database that may be down.
    said = {"heading": heading, "meaning": meaning, "request_id": request_id.current()}
    page = render_to_string("500.html", said)
    response = HttpResponse(page, status=status)
    if status == UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _what_broke(error: BaseException | None) -> tuple[int, str, str]:
    full = isinstance(error, OSError) and error.errno in FULL
    if full or (isinstance(error, OperationalError) and "disk is full" in str(error)):
        log.error("the disk is full", error=str(error))
        text = _(
            "The server's disk is full, so nothing was stored and no credits were held. Tell the "
            "person who runs this site."
        )
        return INSUFFICIENT_STORAGE, _("The disk is full"), text
    if isinstance(error, StorageUnavailableError):
        log.error("the storage can't be used", error=str(error))
        text = _(
            "The storage of the pictures isn't responding. Try again in a minute; what was accepted before "
            "is safe."
        )
        return UNAVAILABLE, _("Temporarily unavailable"), text
    if isinstance(error, OperationalError | InterfaceError):
        log.error("the database isn't responding", error=str(error).strip())
        text = _("The database isn't responding. Try again in a minute; what was accepted before is safe.")
        return UNAVAILABLE, _("Temporarily unavailable"), text
    text = _(
        "Pictures that were accepted are safe and their credits are accounted for. Reload the "
        "page; if it happens again, tell the person who runs this site when it happened."
    )
    return SERVER_ERROR, _("Something went wrong on our side"), text
