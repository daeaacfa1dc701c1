"""Middleware for every response, whichever view made it."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.deprecation import MiddlewareMixin

BAD_GATEWAY = 502


class HiddenSchemeMiddleware(MiddlewareMixin):
    """Replace a redirect to HTTPS that would loop for ever behind the proxy by a text that says why."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        here = f"{settings.PUBLIC_URL}{request.get_full_path()}"
        hidden = "X-Forwarded-For" in request.headers and "X-Forwarded-Proto" not in request.headers
        if not hidden or response.headers.get("Location") != here:
            return response
        text = (
            f"This site is set up for {settings.PUBLIC_URL}, but its proxy doesn't say if the request came "
            "over HTTPS. Its operator needs to have the proxy send X-Forwarded-Proto (in nginx: "
            "proxy_set_header X-Forwarded-Proto $scheme;), or to set HTTPS_REDIRECT=false.\n"
        )
        return HttpResponse(text, status=BAD_GATEWAY, content_type="text/plain; charset=utf-8")


class PrivateMiddleware(MiddlewareMixin):
    """Keep responses out of shared caches, unless their view says otherwise. Static files don't pass here."""

    def process_response(self, _request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if "public" not in response.headers.get("Cache-Control", ""):
            patch_cache_control(response, private=True)
        return response
