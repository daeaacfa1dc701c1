"""API paths with a slash too many."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

API_PATH = re.compile(r"/+(?:api|v1\.0)/+[^/]")


def one_slash(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Serve such a path as if the slash weren't there: a redirect would lose the body, or the key."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if API_PATH.match(request.path_info):
            prefix = request.path.removesuffix(request.path_info)
            request.path_info = re.sub("/+", "/", request.path_info).rstrip("/")
            request.path = prefix + request.path_info
        return get_response(request)

    return middleware
