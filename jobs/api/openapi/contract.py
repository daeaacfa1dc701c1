"""The contract's part of the OpenAPI document: ``POST /api/v2/remove-background`` and the account."""

from typing import Any

from jobs.api.openapi.responses import IMAGES, JSON, Dict, errors, headers
from jobs.api.requests import MAX_IDEMPOTENCY_KEY
from jobs.calls.responses import RELAYED
from pixian.protocol import version_1
from pixian.protocol.limits import (
    MAX_PROCESSED_PIXELS,
    MAX_RESULT_PIXELS,
    MAX_UPLOAD_BYTES,
    MAX_UPLOAD_PIXELS,
)
from pixian.protocol.margin import ALLOWED as MARGINS
from pixian.protocol.options import PIXELS_CAP, QUALITY, Alignment, Format, Options
from pixian.server.form import FORMS
from pixian.server.image_source import MAX_BASE64_TEXT, SOURCES

LENGTH = r"([0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9})(%|px)|0+(\.0+)?"
MARGIN = rf"^({LENGTH})( +({LENGTH})){{0,3}}$"
BOOLEAN: Dict = {"type": "boolean", "default": False}

FILE, BASE64, URL = SOURCES
PICTURES: Dict = {
    FILE: {
        "type": "string",
        "format": "binary",
        "description": f"BMP, GIF, JPEG, PNG, TIFF or WebP; at most {MAX_UPLOAD_BYTES:,} bytes and "
        f"{MAX_UPLOAD_PIXELS:,} pixels.",
    },
    BASE64: {
        "type": "string",
        "maxLength": MAX_BASE64_TEXT,
        "description": "The picture as base64. A data: prefix, white space, URL-safe letters and missing "
        "padding do no harm.",
    },
    URL: {
        "type": "string",
        "format": "uri",
        "description": "Where the picture is fetched from, by http or https.",
    },
}
OPTIONS: Dict = {
    "max_pixels": {
        "type": "integer",
        "minimum": PIXELS_CAP[0],
        "maximum": PIXELS_CAP[1],
        "default": Options.max_pixels,
        "description": "Width × height at most; a larger picture is shrunk first.",
    },
    "background.color": {
        "type": "string",
        "pattern": "^#[0-9a-fA-F]{6}$",
        "description": "Fills the background, such as #FFFFFF; it stays transparent without.",
    },
    "result.crop_to_foreground": BOOLEAN | {"description": "Cut the result to what is left of the picture."},
    "result.margin": {
        "type": "string",
        "pattern": MARGIN,
        "default": "0px",
        "description": f"Room around the result in CSS's order: {MARGINS}.",
    },
    "result.target_size": {
        "type": "string",
        "pattern": r"^ *0*[1-9][0-9]{0,7} +0*[1-9][0-9]{0,7} *$",
        "description": f"Width and height of the whole result; {MAX_RESULT_PIXELS:,} pixels at most.",
    },
    "result.vertical_alignment": {
        "type": "string",
        "enum": list(Alignment),
        "default": Options.vertical_alignment,
        "description": "Where spare height goes.",
    },
    "output.format": {
        "type": "string",
        "enum": list(Format),
        "default": Options.format,
        "description": "auto is JPEG where a colour is given, else PNG.",
    },
    "output.jpeg_quality": {
        "type": "integer",
        "minimum": QUALITY[0],
        "maximum": QUALITY[1],
        "default": Options.jpeg_quality,
    },
    "test": BOOLEAN | {"description": "Free of charge; the result carries a watermark."},
}
IDEMPOTENCY_KEY: Dict = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY, "pattern": "^[ -~]+$"},
    "description": "For a day, the same request with the same key is one call: it is charged once, and a "
    "repetition is answered with the first one's bytes.",
}
ACCOUNT: Dict = {
    "type": "object",
    "properties": {
        "creditPack": {"type": "string"},
        "state": {"type": "string", "enum": ["active", "dormant"]},
        "useBefore": {"type": "string", "format": "date-time"},
        "credits": {"type": "number", "description": "Of the team, available."},
    },
    "required": ["creditPack", "state", "useBefore", "credits"],
}


def _is_for(scope: str) -> Dict:
    return {"security": [{"basic": [scope]}], "tags": ["Pixian's contract"]}


def _body(options: Dict) -> Dict:
    """A form with one picture; a file makes it a multipart one."""
    multipart, urlencoded = FORMS
    forms = {multipart: _form(options, *SOURCES), urlencoded: _form(options, BASE64, URL)}
    return {"required": True, "content": forms}


def _form(options: Dict, *sources: str) -> Dict:
    pictures = {name: PICTURES[name] for name in sources}
    one = [{"required": [name]} for name in sources]
    return {"schema": {"type": "object", "properties": pictures | options, "oneOf": one}}


def _call(options: Dict, *told: str, **more: Any) -> Dict:
    """A version of the call. told: the headers of its 200 besides those of every version."""
    return (
        _is_for("cutouts")
        | {
            "parameters": [IDEMPOTENCY_KEY],
            "requestBody": _body(options),
            "responses": {
                "200": {
                    "description": "The cut-out.",
                    "headers": headers(*RELAYED, "Content-Disposition", *told),
                    "content": {kind: {} for kind in IMAGES},
                }
            }
            | errors(400, 401, 402, 403, 409, 410, 413, 415, 429, 500, 502, 503, 504),
        }
        | more
    )


IN_CAMEL_CASE = {new: old for old, new in version_1.NAMES.items()}


PATHS: Dict = {
    "/api/v2/remove-background": {
        "post": _call(
            OPTIONS,
            operationId="remove_background",
            summary="Remove a background",
            description="One picture from one source; the answer is the cut-out. Options may stand in the "
            "query string too, where the body's win; values are read in any case. Names that are no option "
            f"are ignored, and told with the job. Above {MAX_PROCESSED_PIXELS:,} pixels a picture is shrunk.",
        )
    },
    version_1.PATH: {
        "post": _call(
            {IN_CAMEL_CASE.get(name, name): option for name, option in OPTIONS.items()},
            *version_1.DEPRECATED,
            deprecated=True,
            operationId="remove_background_v1",
            summary="Remove a background, as in version 1",
            description="The same call with its first version's parameters, in camelCase; the present names "
            "are read too. Programs should call version 2.",
        )
    },
    "/api/v2/account": {
        "get": _is_for("balance")
        | {
            "operationId": "account",
            "summary": "Tell the account's credits",
            "parameters": [],
            "responses": {
                "200": {
                    "description": "The team's account.",
                    "content": {JSON: {"schema": {"$ref": "#/components/schemas/Account"}}},
                }
            }
            | errors(401, 403, 429, 500, 503),
        }
    },
}
ERROR: Dict = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "status": {"type": "integer"},
                "code": {"type": "integer", "description": "Match on this one."},
                "message": {"type": "string"},
            },
            "required": ["status", "code", "message"],
        }
    },
    "required": ["error"],
}
SCHEMAS: Dict = {"Account": ACCOUNT, "Error": ERROR}
