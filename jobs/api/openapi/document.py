"""One OpenAPI 3.1 document for all that programs may call.

ninja describes our own API; ``contract.yaml`` describes the contract and the drop-in.
"""

import json
from functools import cache
from pathlib import Path

import yaml
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse

from jobs.api.decorators import api_view
from jobs.api.openapi.responses import Dict, errors
from jobs.api.rest.api import api

CONTRACT = Path(__file__).with_name("contract.yaml")
DESCRIPTION = (
    "Programs of a team authenticate with one of its API keys: Id and secret as HTTP Basic. Amounts are "
    "credits with up to six decimals; times are ISO 8601. Every error comes in an envelope; match on its "
    "code, never on its text. Any other method gets a 405, any other path a 404."
)
READ_ERRORS = errors(400, 401, 403, 429, 500, 503)


def document() -> Dict:
    return _document(settings.PUBLIC_URL)


@api_view("GET")
def openapi_json(_request: WSGIRequest) -> HttpResponse:
    return HttpResponse(json.dumps(document()), "application/json")


@cache
def _document(public_url: str) -> Dict:
    contract: Dict = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    components: Dict = contract["components"]
    own = _own_api()
    return {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": api.version, "description": DESCRIPTION},
        "servers": [{"url": public_url}],
        "paths": contract["paths"] | own["paths"],
        "components": components | {"schemas": components["schemas"] | _referenced_schemas(own)},
    }


def _own_api() -> Dict:
    own: Dict = json.loads(json.dumps(api.get_openapi_schema(path_prefix="api/")))
    for item in own["paths"].values():
        for operation in item.values():
            operation["parameters"] = [_parameter(each) for each in operation["parameters"]]
            operation["responses"] |= READ_ERRORS
    return own


def _parameter(parameter: Dict) -> Dict:
    """Return a parameter as it is called: left out, never null. Its examples' form isn't that of OpenAPI."""
    parameter.pop("examples", None)
    schema = parameter["schema"]
    types = schema.pop("anyOf", [])
    schema |= next((each for each in types if each != {"type": "null"}), {})
    if schema.get("default", 0) is None:
        del schema["default"]
    return parameter


def _referenced_schemas(own: Dict) -> Dict:
    """Return the schemas in use; ninja lists those of parameters too, which are written in place."""
    schemas: Dict = own["components"]["schemas"]
    text = json.dumps(own)
    return {name: schema for name, schema in schemas.items() if f'"#/components/schemas/{name}"' in text}
