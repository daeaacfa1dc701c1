"""Types of the values in our own API, each with its description in the OpenAPI document."""

import re
from datetime import date
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

from django.http import HttpRequest
from ninja import Schema
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from accounts.ledger.money import to_credits
from jobs.search.date_range import DateRange
from jobs.search.pagination import Page

MAX_ID = 2**63 - 1
MAX_PAGE, DEFAULT_PAGE = 100, 50
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Item = TypeVar("Item")


def credits_(microcredits: int) -> str:
    """Return credits without trailing zeros: ``1.25``."""
    return str(to_credits(microcredits))


def credits_or_none(microcredits: int | None) -> str | None:
    return None if microcredits is None else credits_(microcredits)


def one_of(choices: type[Enum]) -> WithJsonSchema:
    """Describe an enumeration in place: several are called ``State``, and would share that name's schema."""
    return WithJsonSchema({"type": "string", "enum": [each.value for each in choices]})


def _day(text: object) -> date:
    try:
        day = date.fromisoformat(text) if isinstance(text, str) and DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise PydanticCustomError("day", "It must be a day such as 2026-11-30")
    return day


Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Credits = Annotated[
    str,
    Field(
        description="Credits, exact, with up to six decimals.",
        pattern=r"^-?[0-9]+(\.[0-9]{1,6})?$",
        examples=["1.25"],
    ),
]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


class Days(Schema):
    """Whole days in the instance's time zone."""

    since: Day | None = Field(None, description="The first day.", examples=["2026-11-01"])
    until: Day | None = Field(None, description="The last day.", examples=["2026-11-30"])

    @property
    def date_range(self) -> DateRange:
        return DateRange(self.since, self.until)


class Paged(Days):
    """A page of the items of some days."""

    before: Id | None = Field(None, description="Only items older than this id.")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE, description="Items on a page at most.")


class Listed(Schema, Generic[Item]):
    """A page, newest item first."""

    items: list[Item]
    next: str | None = Field(description="The URL of the next page; null on the last one.")


def next_page(request: HttpRequest, page: Page[Any]) -> str | None:
    """Return the request's own URL, with its filters, for the items after this page."""
    if page.older is None:
        return None
    query = request.GET.copy()
    query["before"] = str(page.older)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
