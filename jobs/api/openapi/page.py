"""The OpenAPI document as a page: made here, since the usual viewers load scripts from elsewhere."""

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
    """A type in words; ``shape`` names the component that it is, or is made of."""

    text: str
    shape: str = ""


@dataclass(frozen=True)
class Value:
    """A parameter, or one of an object's."""

    name: str
    kind: Kind
    required: bool
    says: str
    default: Any = None
    where: str = ""


@dataclass(frozen=True)
class Answer:
    status: str
    says: str
    kinds: list[Kind]
    headers: list[str]


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    tag: str
    told: Dict
    scope: str
    parameters: list[Value]
    bodies: list[tuple[str, list[Value]]]
    answers: list[Answer]


@login_not_required
@require_GET
def docs(request: HttpRequest) -> HttpResponse:
    doc = document()
    schemas = doc["components"]["schemas"].items()
    shapes = [(name, schema.get("description", ""), list(_values(schema))) for name, schema in schemas]
    grouped = groupby(_operations(doc), lambda operation: operation.tag)
    sections = [(tag, list(operations)) for tag, operations in grouped]
    shown = {"info": doc["info"], "address": doc["servers"][0]["url"], "sections": sections, "shapes": shapes}
    return render(request, "jobs/openapi.html", shown)


def _operations(doc: Dict) -> Iterator[Operation]:
    for path, item in doc["paths"].items():
        for method in METHODS:
            if told := item.get(method):
                yield Operation(
                    method=method.upper(),
                    path=path,
                    tag=told["tags"][0],
                    told=told,
                    scope=next(iter(told["security"][0].values()))[0],
                    parameters=[_parameter(each) for each in told["parameters"]],
                    bodies=_bodies(told),
                    answers=[_answer(doc, status, each) for status, each in told["responses"].items()],
                )


def _parameter(told: Dict) -> Value:
    schema = told["schema"]
    return Value(
        name=told["name"],
        kind=kind_of(schema),
        required=told.get("required", False),
        says=told.get("description", ""),
        default=schema.get("default"),
        where=told["in"],
    )


def _bodies(told: Dict) -> list[tuple[str, list[Value]]]:
    content = told.get("requestBody", {}).get("content", {})
    return [(kind, list(_values(media["schema"]))) for kind, media in content.items()]


def _answer(doc: Dict, status: str, told: Dict) -> Answer:
    if "$ref" in told:
        told = doc["components"]["responses"][_name(told)]
    content = told.get("content", {})
    kinds = [
        kind_of(media["schema"]) if media.get("schema") else Kind(kind) for kind, media in content.items()
    ]
    return Answer(status, told["description"], kinds, list(told.get("headers", {})))


def _values(schema: Dict, inside: str = "") -> Iterator[Value]:
    """An object's, and those of the objects in it that have no name of their own."""
    required = schema.get("required", [])
    for name, told in schema.get("properties", {}).items():
        inner = told.get("items", told)
        if "properties" in inner:
            many = "[]" if inner is not told else ""
            yield from _values(inner, f"{inside}{name}{many}.")
            continue
        says, default = told.get("description", ""), told.get("default")
        yield Value(f"{inside}{name}", kind_of(told), name in required, says, default)


def kind_of(schema: Dict) -> Kind:
    """In the words of the document, which are English."""
    if "$ref" in schema:
        return Kind(_name(schema), _name(schema))
    if "anyOf" in schema:
        inner = kind_of(next(each for each in schema["anyOf"] if each != {"type": "null"}))
        return Kind(f"{inner.text} or null", inner.shape)
    if "items" in schema:
        inner = kind_of(schema["items"])
        return Kind(f"list of {inner.text}", inner.shape)
    if "enum" in schema:
        return Kind(" | ".join(schema["enum"]))
    bounds = [words.format(f"{schema[key]:,}") for key, words in BOUNDS if key in schema]
    kind: str = schema.get("format") or schema.get("type", "object")
    return Kind(" ".join([kind, *bounds]))


def _name(ref: Dict) -> str:
    return str(ref["$ref"]).rpartition("/")[2]
