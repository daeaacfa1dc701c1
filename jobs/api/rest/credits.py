"""Routes for a team's credits: its balance, the key's allowances, and the ledger's statement."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from ninja import Query, Router, Schema
from pydantic import Field

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import Standing
from accounts.models import Allowance, LedgerAccount, Scope, Team, Transfer, User
from jobs.api.rest.auth import KeyRequest, requires
from jobs.api.rest.fields import Credits, Listed, Paged, credits_, next_page, one_of
from jobs.api.rest.schemas import KeyName, key_name
from jobs.search import pagination

router = Router(tags=["Credits"])

Account = Annotated[LedgerAccount.Kind, one_of(LedgerAccount.Kind)]


class Spender(StrEnum):
    KEY = "key"
    MEMBER = "member"


class AllowanceStanding(Schema):
    """An allowance that limits what the key may spend, in its current period."""

    of: Annotated[Spender, one_of(Spender)] = Field(description="This key's, or that of the key's owner.")
    limit: Credits
    used: Credits
    left: Credits
    period: Annotated[Allowance.Period, one_of(Allowance.Period)]
    renews_at: datetime
    warns: bool = Field(description="The allowance is nearly used up.")


class Balance(Schema):
    """The team's credits, and the allowances that limit this key."""

    available: Credits
    held: Credits = Field(description="Set aside for calls under way or in doubt.")
    spent: Credits
    owed: Credits = Field(description="Charged above what the team had; calls wait until it is covered.")
    allowances: list[AllowanceStanding] = Field(description="Least left first.")


class Movement(Schema):
    """A line of the statement: credits that moved between two accounts. It never changes."""

    id: int
    at: datetime
    kind: Annotated[Transfer.Kind, one_of(Transfer.Kind)]
    amount: Credits
    debit: Account = Field(description="The account they left.")
    credit: Account = Field(description="The account they went to.")
    hold: int | None = Field(description="The id of the hold that this line ends.")
    reference: str = Field(description="The reason, such as job:ID:ATTEMPT.")
    who: str | None = Field(description="E-mail address of the member who spends, or who made the entry.")
    key: KeyName | None = Field(description="The API key that spends.")
    decided_by: str | None = Field(description="The person who ended the hold, if one had to.")
    memo: str


class Statement(Listed[Movement]):
    """A page of the statement, newest line first."""


@router.get(
    "/balance",
    response=Balance,
    url_name="api_balance",
    summary="Show the balance",
    **requires(Scope.BALANCE),
)
def show_balance(request: KeyRequest) -> Balance:
    """Show the team's four figures, and the allowances that limit this key."""
    key = request.auth
    figures = ledger.balances(key.team)
    return Balance(
        available=credits_(figures.available),
        held=credits_(figures.held),
        spent=credits_(figures.spent),
        owed=credits_(figures.owed),
        allowances=[_standing(each) for each in allowances.spender_standings(key.team, key.owner, key)],
    )


@router.get(
    "/ledger",
    response=Statement,
    url_name="api_ledger",
    summary="List the statement",
    **requires(Scope.LEDGER),
)
def list_movements(request: KeyRequest, query: Query[Paged]) -> Statement:
    """List the team's statement, newest line first."""
    page = _newest(request.auth.team, query)
    return Statement(items=[_movement(row) for row in page.rows], next=next_page(request, page))


def _newest(team: Team, query: Paged) -> pagination.Page[Transfer]:
    """Return a page, merged from one of each account's debits and one of its credits.

    An index has these in order. For all of them at once the database might read every transfer there is.
    """
    every = Transfer.objects.only("pk")
    listed = pagination.in_days(every, every, query.date_range)
    keys = set[int]()
    for account in LedgerAccount.objects.filter(team=team):
        for side in ("debit", "credit"):
            page = pagination.page(listed.filter(**{side: account}), query.before, query.limit + 1)
            keys.update(row.pk for row in page.rows)
    newest = Transfer.objects.filter(pk__in=sorted(keys, reverse=True)[: query.limit + 1])
    named = newest.select_related("debit", "credit", "actor", "api_key", "hold__actor", "hold__api_key")
    return pagination.page(named, None, query.limit)


def _standing(standing: Standing) -> AllowanceStanding:
    allowance = standing.allowance
    return AllowanceStanding(
        of=Spender.KEY if allowance.api_key_id else Spender.MEMBER,
        limit=credits_(standing.limit),
        used=credits_(standing.used),
        left=credits_(standing.left),
        period=Allowance.Period(allowance.period),
        renews_at=standing.renews_at,
        warns=standing.warns,
    )


def _movement(row: Transfer) -> Movement:
    begun = row.hold or row  # the hold names the spender, and its resolutions don't
    return Movement(
        id=row.pk,
        at=row.created_at,
        kind=Transfer.Kind(row.kind),
        amount=credits_(row.amount_microcredits),
        debit=LedgerAccount.Kind(row.debit.kind),
        credit=LedgerAccount.Kind(row.credit.kind),
        hold=row.hold_id,
        reference=row.reference,
        who=_email(begun.actor),
        key=key_name(begun.api_key),
        decided_by=_email(row.actor) if row.hold else None,
        memo=row.memo,
    )


def _email(user: User | None) -> str | None:
    return user.email if user else None
