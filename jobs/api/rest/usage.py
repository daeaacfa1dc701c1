"""The route for a team's usage: credits by day, member, key or origin."""

from datetime import timedelta
from typing import Annotated

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.models import Scope
from jobs.api.rest.auth import KeyRequest, requires
from jobs.api.rest.fields import Credits, Days, credits_, one_of
from jobs.audit import usage
from jobs.audit.usage import By, GroupUsage
from jobs.search.date_range import FIRST_DAY, DateRange
from pixian.protocol.errors import bad_parameter

DEFAULT_DAYS, MAX_DAYS = 31, 366

router = Router(tags=["Credits"])

Grouping = Annotated[By, one_of(By)]


class UsagePart(Schema):
    """The usage of one day, member, key or origin."""

    group: str | None = Field(
        description="A day, an e-mail address, an API Id (null: without a key) or an origin."
    )
    name: str | None = Field(description="The key's name.")
    credits: Credits
    jobs: int = Field(
        description="Jobs that were charged for. One that was charged for again, because its result was "
        "lost, counts twice."
    )


class Usage(Schema):
    """Credits by the time they were booked. Refunds are lines of the ledger of their own."""

    by: Grouping
    since: str = Field(description="The first day.", examples=["2026-11-01"])
    until: str = Field(description="The last day.", examples=["2026-11-30"])
    parts: list[UsagePart]
    total: UsagePart


class UsageQuery(Days):
    by: Grouping = Field(By.DAY, description="The grouping of the parts.")


@router.get("", response=Usage, url_name="api_usage", summary="Sum up usage", **requires(Scope.LEDGER))
def sum_usage(request: KeyRequest, query: Query[UsageQuery]) -> Usage:
    """Sum up credits and jobs, of 366 days at most; without a first day, of the last 31."""
    days = _date_range(query)
    groups = usage.by_group(request.auth.team, days, query.by)
    parts = [_part(group) for group in groups if group.usage.calls]
    total = _part(GroupUsage(None, usage.total(groups)))
    return Usage(by=query.by, since=str(days.since), until=str(days.until), parts=parts, total=total)


def _date_range(query: UsageQuery) -> DateRange:
    """Return the days to sum up; raises Refused 400/1019 for too many."""
    until, usual = query.until or timezone.localdate(), timedelta(days=DEFAULT_DAYS - 1)
    since = query.since or max(until, FIRST_DAY + usual) - usual
    if (until - since).days >= MAX_DAYS:
        raise bad_parameter("since", str(since), f"a day less than {MAX_DAYS} days before until ({until})")
    return DateRange(since, until)


def _part(part: GroupUsage) -> UsagePart:
    group = None if part.group is None else str(part.group)
    booked, calls = part.usage.booked, part.usage.calls
    return UsagePart(group=group, name=part.name, credits=credits_(booked), jobs=calls)
