"""The part of the OpenAPI document for the drop-in: ``POST /v1.0/removebg`` and its account."""

from jobs.api.openapi.contract import BOOLEAN, IDEMPOTENCY_KEY, MARGIN
from jobs.api.openapi.responses import JSON, Dict, errors, headers
from pixian.protocol.limits import MAX_UPLOAD_BYTES
from pixian.removebg.options import SIZES, SOURCES, Channels, Format, RemovebgOptions
from pixian.removebg.request import MAX_TEXT_BYTES
from pixian.removebg.response import TYPES
from pixian.server.form import FORMS

ERRORS = "DropInError"
CREDITS = ("X-Credits-Charged", "X-Credits-Calculated")
SIZE = ("X-Width", "X-Height", "X-Max-Width", "X-Max-Height")
PLACE = ("X-Foreground-Top", "X-Foreground-Left", "X-Foreground-Width", "X-Foreground-Height")
RATES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

FILE, BASE64, URL = SOURCES
PICTURES: Dict = {
    FILE: {"type": "string", "format": "binary", "description": f"At most {MAX_UPLOAD_BYTES:,} bytes."},
    BASE64: {"type": "string", "description": f"The picture as base64; {MAX_TEXT_BYTES:,} bytes at most."},
    URL: {"type": "string", "format": "uri", "description": "Where the picture is fetched from."},
}
PARAMETERS: Dict = {
    "size": {
        "type": "string",
        "enum": list(SIZES),
        "default": "auto",
        "description": "Pixels at most: " + ", ".join(f"{name} {cap:,}" for name, cap in SIZES.items()) + ".",
    },
    "format": {
        "type": "string",
        "enum": list(Format),
        "default": RemovebgOptions.format,
        "description": "auto is PNG where something is transparent in the end, else JPG.",
    },
    "channels": {"type": "string", "enum": list(Channels), "default": RemovebgOptions.channels},
    "crop": BOOLEAN | {"description": "Cut the result to what is left of the picture."},
    "crop_margin": {"type": "string", "pattern": MARGIN, "description": "Room around what was cropped."},
    "bg_color": {
        "type": "string",
        "examples": ["81d4fa", "#fff", "81d4fa77", "white"],
        "description": "Fills the background: three, four, six or eight hexadecimal digits, or a name.",
    },
    "test": BOOLEAN | {"description": "Free of charge; the result carries a watermark."},
}
FOREGROUND = ("foreground_top", "foreground_left", "foreground_width", "foreground_height")
ANSWERED: Dict = {
    "type": "object",
    "properties": {
        "data": {
            "type": "object",
            "properties": {"result_b64": {"type": "string", "contentEncoding": "base64"}}
            | {name: {"type": "integer"} for name in FOREGROUND},
            "required": ["result_b64", *FOREGROUND],
        }
    },
    "required": ["data"],
}
ERROR: Dict = {
    "type": "object",
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("title", "code", "detail")},
                "required": ["title", "code", "detail"],
            },
        }
    },
    "required": ["errors"],
}
ACCOUNT: Dict = {
    "type": "object",
    "properties": {
        "data": {
            "type": "object",
            "properties": {
                "attributes": {
                    "type": "object",
                    "properties": {
                        "credits": {
                            "type": "object",
                            "properties": {
                                name: {"type": "number"}
                                for name in ("total", "subscription", "payg", "enterprise")
                            },
                            "required": ["total", "subscription", "payg", "enterprise"],
                        },
                        "api": {
                            "type": "object",
                            "properties": {"free_calls": {"type": "integer"}, "sizes": {"type": "string"}},
                            "required": ["free_calls", "sizes"],
                        },
                    },
                    "required": ["credits", "api"],
                }
            },
            "required": ["attributes"],
        }
    },
    "required": ["data"],
}


def _is_for(scope: str) -> Dict:
    """Either way of sending the key."""
    return {"security": [{"apiKey": [scope]}, {"basic": [scope]}], "tags": ["The drop-in for remove.bg"]}


def _body() -> Dict:
    """A form with a file, or anything else with a text in its place."""
    multipart, urlencoded = FORMS
    texts = _object(BASE64, URL)
    return {"required": True, "content": {multipart: _object(*SOURCES), urlencoded: texts, JSON: texts}}


def _object(*sources: str) -> Dict:
    pictures = {name: PICTURES[name] for name in sources}
    one = [{"required": [name]} for name in sources]
    return {"schema": {"type": "object", "properties": pictures | PARAMETERS, "oneOf": one}}


PATHS: Dict = {
    "/v1.0/removebg": {
        "post": _is_for("cutouts")
        | {
            "operationId": "removebg",
            "summary": "Remove a background",
            "description": "As programs written for that service call it. What it knows besides is ignored.",
            "parameters": [IDEMPOTENCY_KEY],
            "requestBody": _body(),
            "responses": {
                "200": {
                    "description": "The cut-out; inside JSON for whoever accepts that.",
                    "headers": headers("Content-Disposition", "X-Type", *SIZE, *PLACE, *CREDITS, *RATES),
                    "content": {kind: {} for kind in TYPES.values()} | {JSON: {"schema": ANSWERED}},
                }
            }
            | errors(400, 402, 403, 409, 410, 415, 429, 500, 502, 503, 504, kind=ERRORS),
        }
    },
    "/v1.0/account": {
        "get": _is_for("balance")
        | {
            "operationId": "removebg_account",
            "summary": "Tell the account's credits",
            "parameters": [],
            "responses": {
                "200": {
                    "description": "The team's credits, all of them as bought.",
                    "content": {JSON: {"schema": {"$ref": "#/components/schemas/DropInAccount"}}},
                }
            }
            | errors(403, 429, 500, 503, kind=ERRORS),
        }
    },
}
SCHEMAS: Dict = {"DropInAccount": ACCOUNT, ERRORS: ERROR}
