"""All that programs may ask, in one OpenAPI 3.1 document: our own API as ninja describes it, and the contract
and the drop-in as their modules do."""

import json
from functools import cache

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse

from jobs.api.decorators import api_view
from jobs.api.openapi import contract, removebg
from jobs.api.openapi.responses import JSON, Dict, error_components, errors, header_components
from jobs.api.rest.api import api

DESCRIPTION = (
    "Programs of a team ask with one of its API keys: Id and secret as HTTP Basic. Amounts are credits with "
    "up to six decimals, times are ISO 8601. Every error comes in an envelope; match on its code, never on "
    "its text. Any other method is answered 405, any other address 404."
)

SECURITY: Dict = {
    "basic": {"type": "http", "scheme": "basic", "description": "API Id and secret."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "The base64 of Id:secret.",
    },
}
READING = errors(400, 401, 403, 429, 500, 503)


def document() -> Dict:
    return _document(settings.PUBLIC_URL)


@api_view("GET")
def openapi_json(_request: WSGIRequest) -> HttpResponse:
    return HttpResponse(json.dumps(document()), JSON)


@cache
def _document(address: str) -> Dict:
    own = json.loads(json.dumps(api.get_openapi_schema(path_prefix="api/")))
    for item in own["paths"].values():
        for operation in item.values():
            operation["parameters"] = [_mended(each) for each in operation["parameters"]]
            operation["responses"] |= READING
    schemas = contract.SCHEMAS | removebg.SCHEMAS | _used(own)
    return {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": api.version, "description": DESCRIPTION},
        "servers": [{"url": address}],
        "paths": contract.PATHS | own["paths"] | removebg.PATHS,
        "components": {
            "schemas": schemas,
            "responses": error_components("Error") | error_components(removebg.ERRORS),
            "headers": header_components(),
            "securitySchemes": SECURITY,
        },
    }


def _used(own: Dict) -> Dict:
    """ninja adds the classes of parameters too, which are written where they are used."""
    schemas: Dict = own["components"]["schemas"]
    text = json.dumps(own)
    return {name: schemas[name] for name in schemas if f'"#/components/schemas/{name}"' in text}


def _mended(parameter: Dict) -> Dict:
    """A parameter is left out, never null; and the examples of its schema are in a form of their own."""
    parameter.pop("examples", None)
    schema = parameter["schema"]
    kinds = schema.pop("anyOf", [])
    schema |= next((kind for kind in kinds if kind != {"type": "null"}), {})
    if schema.get("default", 0) is None:
        del schema["default"]
    return parameter
