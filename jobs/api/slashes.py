"""Addresses for programs with a slash too many."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

FOR_PROGRAMS = re.compile(r"/+(?:api|v1\.0)/+[^/]")


def one_slash(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Serve them as if it weren't there: a redirect would lose the body, or the key."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if FOR_PROGRAMS.match(request.path_info):
            above = request.path.removesuffix(request.path_info)
            request.path_info = re.sub("/+", "/", request.path_info).rstrip("/")
            request.path = above + request.path_info
        return get_response(request)

    return middleware
