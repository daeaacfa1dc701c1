"""The OpenAPI document as a page of our own.

ninja bundles Swagger UI and Redoc, and neither holds up here. Swagger UI runs under the strict CSP but fails
axe's checks (contrast, an unnamed list) and is wider than a phone; Redoc stops without inline styles.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jobs.api.openapi.document import document
from jobs.api.openapi.responses import Dict

METHODS = ("get", "post")
BOUNDS = (("minimum", "from {}"), ("maximum", "to {}"), ("maxLength", "at most {} characters"))


@dataclass(frozen=True)
class Kind:
    """A type in words. schema: the name of the schema that it is, or is a list of."""

    text: str
    schema: str = ""


@dataclass(frozen=True)
class Value:
    """A parameter, or a property of an object. source: ``path``, ``query`` or ``header`` for a parameter."""

    name: str
    kind: Kind
    required: bool
    description: str
    default: Any = None
    source: str = ""


@dataclass(frozen=True)
class Response:
    status: str
    description: str
    kinds: list[Kind]
    headers: list[str]


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    tag: str
    described: Dict
    scope: str
    parameters: list[Value]
    bodies: list[tuple[str, list[Value]]]
    responses: list[Response]


@login_not_required
@require_GET
def docs(request: HttpRequest) -> HttpResponse:
    described = document()
    schemas = described["components"]["schemas"].items()
    grouped = groupby(_operations(described), lambda operation: operation.tag)
    context = {
        "info": described["info"],
        "address": described["servers"][0]["url"],
        "sections": [(tag, list(operations)) for tag, operations in grouped],
        "schemas": [(name, schema.get("description", ""), list(_values(schema))) for name, schema in schemas],
    }
    return render(request, "jobs/openapi.html", context)


def _operations(document: Dict) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if described := item.get(method):
                yield Operation(
                    method=method.upper(),
                    path=path,
                    tag=described["tags"][0],
                    described=described,
                    scope=next(iter(described["security"][0].values()))[0],
                    parameters=[_parameter(each) for each in described["parameters"]],
                    bodies=_bodies(described),
                    responses=[
                        _response(document, status, each)
                        for status, each in sorted(described["responses"].items())
                    ],
                )


def _parameter(described: Dict) -> Value:
    schema = described["schema"]
    return Value(
        name=described["name"],
        kind=kind_of(schema),
        required=described.get("required", False),
        description=described.get("description", ""),
        default=schema.get("default"),
        source=described["in"],
    )


def _bodies(operation: Dict) -> list[tuple[str, list[Value]]]:
    content = operation.get("requestBody", {}).get("content", {})
    return [(media_type, list(_values(media["schema"]))) for media_type, media in content.items()]


def _response(document: Dict, status: str, described: Dict) -> Response:
    if "$ref" in described:
        described = document["components"]["responses"][_name(described)]
    content = described.get("content", {}).items()
    kinds = [kind_of(media["schema"]) if media else Kind(media_type) for media_type, media in content]
    return Response(status, described["description"], kinds, list(described.get("headers", {})))


def _values(schema: Dict, prefix: str = "") -> Iterator[Value]:
    """Yield an object's properties, with those of the objects in it that have no name of their own."""
    required = schema.get("required", [])
    for name, described in schema.get("properties", {}).items():
        inner = described.get("items", described)
        if "properties" in inner:
            brackets = "[]" if inner is not described else ""
            yield from _values(inner, f"{prefix}{name}{brackets}.")
            continue
        description, default = described.get("description", ""), described.get("default")
        yield Value(f"{prefix}{name}", kind_of(described), name in required, description, default)


def kind_of(schema: Dict) -> Kind:
    """Return a schema's type in English, the document's language."""
    if "$ref" in schema:
        return Kind(_name(schema), _name(schema))
    if "anyOf" in schema:
        inner = kind_of(next(each for each in schema["anyOf"] if each != {"type": "null"}))
        return Kind(f"{inner.text} or null", inner.schema)
    if "items" in schema:
        inner = kind_of(schema["items"])
        return Kind(f"list of {inner.text}", inner.schema)
    if "enum" in schema:
        return Kind(" | ".join(schema["enum"]))
    bounds = [words.format(f"{schema[key]:,}") for key, words in BOUNDS if key in schema]
    kind: str = schema.get("format") or schema.get("type", "object")
    return Kind(" ".join([kind, *bounds]))


def _name(reference: Dict) -> str:
    return str(reference["$ref"]).rpartition("/")[2]
