"""Who spent how much, for a team's programs."""

from typing import Annotated

from ninja import Query, Router, Schema
from pydantic import Field

from accounts.models import Scope
from jobs import usage
from jobs.api.entry import KeyRequest, reads
from jobs.api.values import Credits, Days, credits_, one_of
from jobs.usage import By, Part

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
    parts: list[UsagePart]
    total: UsagePart


class UsageWanted(Days):
    by: Parting = Field(By.DAY, description="How it is parted.")


@router.get("", response=Usage, url_name="api_usage", summary="Sum up usage", **reads(Scope.LEDGER))
def sum_usage(request: KeyRequest, asked: Query[UsageWanted]) -> Usage:
    """Sums of what the ledger took, and the numbers of jobs; without days, of all time."""
    team, span = request.auth.team, asked.span
    parts = [_part(part) for part in usage.parts(team, span, asked.by)]
    return Usage(by=asked.by, parts=parts, total=_part(usage.total(team, span)))


def _part(part: Part) -> UsagePart:
    group = None if part.group is None else str(part.group)
    return UsagePart(group=group, name=part.name, credits=credits_(part.microcredits), jobs=part.jobs)
