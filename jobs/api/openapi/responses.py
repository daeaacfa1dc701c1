"""What the OpenAPI document says of answers that many operations share."""

from typing import Any

JSON = "application/json"
IMAGES = ("image/png", "image/jpeg")

Dict = dict[str, Any]

DECIMAL: Dict = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,6})?$"}
PAIR: Dict = {"type": "string", "pattern": "^[0-9]+ [0-9]+$"}
WHOLE: Dict = {"type": "integer", "minimum": 0}
TEXT: Dict = {"type": "string"}
SHA256: Dict = {"type": "string", "pattern": '^"[0-9a-f]{64}"$'}

HEADERS: dict[str, tuple[Dict, str]] = {
    "Retry-After": (WHOLE, "Seconds to wait before the next try."),
    "WWW-Authenticate": (TEXT, "Basic."),
    "X-Credits-Charged": (DECIMAL, "What the call cost; 0 in test mode."),
    "X-Credits-Calculated": (DECIMAL, "In test mode: what it would have cost."),
    "X-Input-Size": (PAIR, "Width and height of the picture as it was read."),
    "X-Result-Size": (PAIR, "Width and height of the result."),
    "X-Input-Orientation": (WHOLE, "The EXIF orientation that was applied."),
    "ETag": (SHA256, "The SHA-256 of the bytes, in quotes."),
    "Content-Disposition": (TEXT, "An attachment, with the name of the file."),
    "Deprecation": (TEXT, "Since when this version is obsolete, in Unix time behind an @ (RFC 9745)."),
    "Link": (TEXT, "The version to call instead."),
    "X-Type": (TEXT, "Always other."),
    "X-Width": (WHOLE, "Of the result."),
    "X-Height": (WHOLE, "Of the result."),
    "X-Max-Width": (WHOLE, "Of the result at full size, where it was made smaller."),
    "X-Max-Height": (WHOLE, "Of the result at full size, where it was made smaller."),
    "X-Foreground-Top": (WHOLE, "Where the foreground begins."),
    "X-Foreground-Left": (WHOLE, "Where the foreground begins."),
    "X-Foreground-Width": (WHOLE, "Of the foreground."),
    "X-Foreground-Height": (WHOLE, "Of the foreground."),
    "X-RateLimit-Limit": (WHOLE, "Calls a minute of this key."),
    "X-RateLimit-Remaining": (WHOLE, "Calls that may follow at once."),
    "X-RateLimit-Reset": (WHOLE, "When it will be all of them again, in Unix time."),
}

ERRORS = {
    400: "A parameter or the picture isn't right; the message says which and what is allowed.",
    401: "No key, or one that opens nothing.",
    402: "The credits of the team, or an allowance, don't reach.",
    403: "The key hasn't got the scope.",
    404: "There is nothing of that kind in the key's team.",
    409: "The Idempotency-Key came with another request, or its first request is still under way.",
    410: "The file isn't kept any more.",
    413: "Too many bytes or pixels.",
    415: "The body is no form.",
    429: "Too many calls; wait.",
    500: "Something broke here.",
    502: "The service behind this one answered with nothing that could be used.",
    503: "Out of order for a moment.",
    504: "The service behind this one never answered; whether it charged isn't known yet.",
}
TOLD_HOW_LONG = (429, 503)


def headers(*names: str) -> Dict:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def errors(*statuses: int, kind: str = "Error") -> Dict:
    """The answers of these statuses, in an envelope."""
    return {str(status): {"$ref": f"#/components/responses/{kind}{status}"} for status in statuses}


def header_components() -> Dict:
    return {name: {"description": says, "schema": schema} for name, (schema, says) in HEADERS.items()}


def error_components(kind: str) -> Dict:
    return {f"{kind}{status}": _error(status, kind) for status in ERRORS}


def _error(status: int, kind: str) -> Dict:
    asks_for_a_key = status == 401 and kind == "Error"
    names = ["WWW-Authenticate"] * asks_for_a_key + ["Retry-After"] * (status in TOLD_HOW_LONG)
    schema = {"$ref": f"#/components/schemas/{kind}"}
    answer = {"description": ERRORS[status], "content": {JSON: {"schema": schema}}}
    return answer | ({"headers": headers(*names)} if names else {})


FILE: Dict = {
    "responses": {
        200: {
            "description": "The bytes.",
            "headers": headers("ETag", "Content-Disposition"),
            "content": {"image/*": {}, "application/octet-stream": {}},
        },
        304: {"description": "The bytes are those of If-None-Match.", "headers": headers("ETag")},
    }
    | errors(404, 410)
}
"""Of a route that gives a job's file."""

ONE: Dict = {"responses": errors(404)}
"""Of a route that gives one job."""
