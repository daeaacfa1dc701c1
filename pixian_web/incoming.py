"""Refuse text in a page's URL or form that the database can't hold, before any view sees it."""

from collections.abc import Callable, Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.defaults import bad_request

from pixian.protocol.text import is_storable

BAD_REQUEST = 400


class TextMiddleware:
    """Answer 400 to text that the database can't hold.

    It comes after the middleware for CSRF and sign-in, so that no form is read that those would refuse. The
    API is let through: it reads its own bodies and has errors of its own. File names need no check, since
    ``pixian.protocol.file_names.clean`` drops what can't be stored.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, _args: tuple[Any, ...], arguments: dict[str, Any]
    ) -> HttpResponse | None:
        if getattr(view, "csrf_exempt", False):
            return None
        return None if all(map(is_storable, _texts(request, arguments))) else _refusal(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Refuse a number of more than 64 bits, which SQLite can't hold either."""
        return _refusal(request) if isinstance(error, OverflowError) else None


def _refusal(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request"):
        message = _("The browser sent something we can't read")
        return HttpResponse(message, status=BAD_REQUEST, content_type="text/plain; charset=utf-8")
    return bad_request(request, ValueError("text that no database can hold"))


def _texts(request: HttpRequest, arguments: dict[str, Any]) -> Iterator[str]:
    yield from (str(value) for value in arguments.values())
    yield from _names_and_values(request.GET)
    yield from _names_and_values(request.POST)


def _names_and_values(fields: QueryDict) -> Iterator[str]:
    for name, values in fields.lists():
        yield name
        yield from map(str, values)
