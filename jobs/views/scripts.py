"""Read what the pages' scripts send, and answer them in plain text that they show."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from accounts.models import Membership
from jobs.models import Batch


def json_object(request: HttpRequest) -> dict[str, Any]:
    """Return the object in a request's body; raise BadRequest."""
    try:
        data = json.loads(request.body)
    except (ValueError, RecursionError, RawPostDataException) as error:  # the last one: it is a form
        raise BadRequest("the body isn't JSON") from error
    if not isinstance(data, dict):
        raise BadRequest("the body isn't an object")
    return data


def listed(data: dict[str, Any], name: str, at_most: int) -> list[Any]:
    """Return a list in an object; raise BadRequest if it is none, empty or too long."""
    values = data.get(name)
    if not isinstance(values, list) or not 0 < len(values) <= at_most:
        raise BadRequest(f"{name} must be a list of 1 to {at_most}")
    return values


def uuid(value: object) -> UUID:
    """Return an id that a script has made; raise BadRequest."""
    try:
        return UUID(str(value))
    except ValueError as error:
        raise BadRequest("an id must be a UUID") from error


def text(message: str, status: int, headers: Mapping[str, Any] | None = None) -> HttpResponse:
    content_type = "text/plain; charset=utf-8"
    return HttpResponse(message, status=HTTPStatus(status), headers=headers, content_type=content_type)


def disk_full() -> HttpResponse:
    """Refuse a download whose picture couldn't be made."""
    message = _("The server's disk is full. Tell the person who runs this site, then download it again.")
    return text(message, HTTPStatus.INSUFFICIENT_STORAGE)


def batch_of(member: Membership, batch: UUID) -> Batch:
    """Return the team's batch; raise Http404 for one of another team, as for none."""
    return get_object_or_404(Batch.objects.select_related("team", "created_by"), team=member.team, pk=batch)
