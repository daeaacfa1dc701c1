"""Our own JSON API, for what Pixian's contract hasn't got: jobs, the ledger, usage. It only reads.

ninja reads the parameters and describes the answers; who is let in, how errors look and what other origins
may do are the same as for the contract (``face``, ``access``).
"""

from typing import NoReturn

from django.http import HttpRequest
from django.urls import URLPattern
from ninja import NinjaAPI
from ninja.errors import ValidationError
from ninja.operation import Operation

from jobs.api.decorators import api_view
from jobs.api.rest import credits, jobs, usage
from pixian.protocol.errors import Code, Refused

BAD_REQUEST = 400


class ReadApi(NinjaAPI):
    """Its operations are called in the document as their functions are here."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__


api = ReadApi(
    title="Pixian Web",
    version="1",
    openapi_url=None,  # the document covers the contract too, and its page loads nothing from elsewhere
    docs_url=None,
)
api.add_router("/jobs", jobs.router)
api.add_router("", credits.router)
api.add_router("/usage", usage.router)


@api.exception_handler(Exception)
def passed_on(_request: HttpRequest, error: Exception) -> NoReturn:
    """To the face."""
    raise error


@api.exception_handler(ValidationError)
def bad_parameter(_request: HttpRequest, error: ValidationError) -> NoReturn:
    first = error.errors[0]
    raise Refused(BAD_REQUEST, Code.BAD_PARAMETER, f"{first['loc'][-1]}: {first['msg']}.") from error


def urls() -> list[URLPattern]:
    """Of every route, and none for the API's root."""
    patterns = [pattern for pattern in api.urls[0] if isinstance(pattern, URLPattern)]
    return [_spoken(pattern) for pattern in patterns if pattern.name != "api-root"]


def _spoken(route: URLPattern) -> URLPattern:
    return URLPattern(route.pattern, api_view("GET")(route.callback), name=route.name)
