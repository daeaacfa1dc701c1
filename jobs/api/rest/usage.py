"""Who spent how much, for a team's programs."""

from datetime import timedelta
from typing import Annotated

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.models import Scope
from jobs.api.rest.auth import KeyRequest, requires
from jobs.api.rest.fields import Credits, Days, credits_, one_of
from jobs.audit import usage
from jobs.audit.usage import By, Part
from jobs.search.date_range import DateRange
from pixian.protocol.errors import bad_parameter

USUAL_DAYS, MOST_DAYS = 31, 93
"""Until there are roll-ups, each bill is read anew."""

router = Router(tags=["Credits"])

Parting = Annotated[By, one_of(By)]


class UsagePart(Schema):
    """One day's, member's, key's or origin's."""

    group: str | None = Field(
        description="A day, an e-mail address, an API Id (null: without a key) or an origin."
    )
    name: str | None = Field(description="Of the key.")
    credits: Credits
    jobs: int = Field(description="How many were charged for.")


class Usage(Schema):
    """What the ledger took, by the time it was booked. Refunds are lines of the ledger of their own."""

    by: Parting
    since: str = Field(description="The first day that is summed up.", examples=["2026-11-01"])
    until: str = Field(description="The last one.", examples=["2026-11-30"])
    parts: list[UsagePart]
    total: UsagePart


class UsageWanted(Days):
    by: Parting = Field(By.DAY, description="How it is parted.")


@router.get("", response=Usage, url_name="api_usage", summary="Sum up usage", **requires(Scope.LEDGER))
def sum_usage(request: KeyRequest, asked: Query[UsageWanted]) -> Usage:
    """Sums of what the ledger took, and the numbers of jobs, of 93 days at most; without a first day, of the
    31 days up to the last one."""
    team, span = request.auth.team, _bounded(asked)
    parts = [_part(part) for part in usage.parts(team, span, asked.by)]
    total = _part(usage.total(team, span))
    return Usage(by=asked.by, since=str(span.since), until=str(span.until), parts=parts, total=total)


def _bounded(asked: UsageWanted) -> DateRange:
    """Raises Refused where it is too much to sum up while somebody waits."""
    until = asked.until or timezone.localdate()
    since = asked.since or until - timedelta(days=USUAL_DAYS - 1)
    if (until - since).days >= MOST_DAYS:
        raise bad_parameter("since", str(since), f"a day less than {MOST_DAYS} days before until ({until})")
    return DateRange(since, until)


def _part(part: Part) -> UsagePart:
    group = None if part.group is None else str(part.group)
    return UsagePart(group=group, name=part.name, credits=credits_(part.microcredits), jobs=part.jobs)
