"""Lets pages of other origins call the API. They hold a key of their own, and no cookie is sent."""

from werkzeug.wrappers import Request, Response

EXPOSED = (
    "Retry-After",
    "X-Credits-Calculated",
    "X-Credits-Charged",
    "X-Input-Orientation",
    "X-Input-Size",
    "X-Result-Size",
)
DAY_SECONDS = 86_400


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def preflight() -> Response:
    """What a browser asks before it sends ``Authorization``."""
    response = Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    response.headers["Access-Control-Max-Age"] = str(DAY_SECONDS)
    return response


def opened(response: Response) -> Response:
    """The response, readable by any page with its headers."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED)
    return response
