"""Asking for a log-in."""

from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _


class SignInMiddleware(LoginRequiredMiddleware):
    """Every page asks for a log-in unless it is marked otherwise.

    A script's request is told so with a 401, since a redirect would hand it the log-in page as if that
    were its answer.
    """

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        # Django asks the database who is there even if nobody has to be, and a probe mustn't wait for that.
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponse:  # type: ignore[override]
        if request.headers.get("HX-Request"):
            message = _("You are logged out. Log in again in another tab, then try once more.")
            return HttpResponse(message, status=401, content_type="text/plain; charset=utf-8")
        return super().handle_no_permission(request, view_func)
