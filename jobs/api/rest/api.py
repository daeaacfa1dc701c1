"""Our own read-only JSON API, for what Pixian's contract hasn't got: jobs, the ledger, usage.

ninja reads the parameters and describes the responses. Authentication, errors and CORS are those of the
contract (``jobs.api.auth``, ``jobs.api.decorators``).
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
    """An API whose operations have their functions' names in the document."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__


api = ReadApi(
    title="Pixian Web",
    version="1",
    openapi_url=None,  # jobs.api.openapi has a document that covers the contract too, and a page for it
    docs_url=None,
)
api.add_router("/jobs", jobs.router)
api.add_router("", credits.router)
api.add_router("/usage", usage.router)


@api.exception_handler(Exception)
def pass_on(_request: HttpRequest, error: Exception) -> NoReturn:
    """Leave an error to ``api_view``, in place of ninja's own handlers."""
    raise error


@api.exception_handler(ValidationError)
def bad_parameter(_request: HttpRequest, error: ValidationError) -> NoReturn:
    first = error.errors[0]
    raise Refused(BAD_REQUEST, Code.BAD_PARAMETER, f"{first['loc'][-1]}: {first['msg']}.") from error


def urls() -> list[URLPattern]:
    """Return the URL patterns of all routes, without ninja's for the API's root."""
    patterns = [pattern for pattern in api.urls[0] if isinstance(pattern, URLPattern)]
    routes = (pattern for pattern in patterns if pattern.name != "api-root")
    return [URLPattern(route.pattern, api_view("GET")(route.callback), name=route.name) for route in routes]
