"""References to the OpenAPI document's shared headers and errors, for the routes of our own API."""

from typing import Any

Dict = dict[str, Any]


def headers(*names: str) -> Dict:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def errors(*statuses: int) -> Dict:
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in statuses}


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
"""The responses of a route that returns a job's file."""

ONE: Dict = {"responses": errors(404)}
"""The responses of a route that returns one job."""
