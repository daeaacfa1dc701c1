"""Require a sign-in on every page."""

from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _


class SignInMiddleware(LoginRequiredMiddleware):
    """Require a sign-in for every view that isn't marked otherwise.

    A script's request gets a 401: a redirect would give it the sign-in page as if that were the response.
    """

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        # Django would load the user even for views that need none, and a probe mustn't wait for the database.
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponse:  # type: ignore[override]
        if request.headers.get("HX-Request"):
            message = _("You are signed out. Sign in again in another tab, then retry.")
            return HttpResponse(message, status=401, content_type="text/plain; charset=utf-8")
        return super().handle_no_permission(request, view_func)
