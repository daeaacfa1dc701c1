"""Middleware for every response, whichever view made it."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.deprecation import MiddlewareMixin

from accounts import request_id

BAD_GATEWAY = 502
PROBES = frozenset({"/healthz", "/readyz"})
REQUEST_ID_HEADER = "X-Request-ID"


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


class ProbeMiddleware(MiddlewareMixin):
    """Let load balancers probe by IP address, which ALLOWED_HOSTS can't list. No other path is exempt."""

    def process_request(self, request: HttpRequest) -> None:
        if request.path in PROBES:
            request.META["HTTP_HOST"] = "localhost"


class RequestIdMiddleware:
    """Names each request by its ``X-Request-ID``, or by a new id, in all that it leaves behind."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        name = request_id.accepted(request.headers.get(REQUEST_ID_HEADER, ""))
        with request_id.working_for(name):
            response = self.get_response(request)
        response.headers[REQUEST_ID_HEADER] = name
        return response


class PrivateMiddleware(MiddlewareMixin):
    """Keep responses out of shared caches, unless their view says otherwise. Static files don't pass here."""

    def process_response(self, _request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if "public" not in response.headers.get("Cache-Control", ""):
            patch_cache_control(response, private=True)
        return response
