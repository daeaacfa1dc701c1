"""Routes for a team's credits: its balance, the key's allowances, and the ledger's statement."""

from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Annotated

from ninja import Query, Router, Schema
from pydantic import Field

from accounts.credits.statement import memos
from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import Standing
from accounts.models import Allowance, LedgerAccount, Scope, Transfer, User
from jobs.api.rest.auth import KeyRequest, requires
from jobs.api.rest.fields import Credits, Listed, Paged, credits_, next_page, one_of
from jobs.api.rest.schemas import KeyName, key_name
from jobs.search import statement
from jobs.search.statement import StatementFilter

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
    available_after: Credits = Field(description="What the team had available after this line.")
    hold: int | None = Field(description="The id of the hold that this line ends.")
    reference: str = Field(description="The reason, such as job:ID:ATTEMPT.")
    who: str | None = Field(description="E-mail address of the member who spends, or who made the entry.")
    key: KeyName | None = Field(description="The API key that spends.")
    decided_by: str | None = Field(description="The person who ended the hold, if one had to.")
    memo: str = Field(description="A note; for a request granted without one, its person's address.")


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
    chosen = StatementFilter(span=query.date_range)
    page = statement.page(request.auth.team, chosen, query.before, query.limit)
    said = memos(page.rows, attrgetter("email"))
    return Statement(items=[_movement(row, said[row.pk]) for row in page.rows], next=next_page(request, page))


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


def _movement(row: Transfer, memo: str) -> Movement:
    return Movement(
        id=row.pk,
        at=row.created_at,
        kind=Transfer.Kind(row.kind),
        amount=credits_(row.amount_microcredits),
        debit=LedgerAccount.Kind(row.debit.kind),
        credit=LedgerAccount.Kind(row.credit.kind),
        available_after=credits_(row.available_microcredits),
        hold=row.hold_id,
        reference=row.reference,
        who=_email(row.spender or row.actor),
        key=key_name(row.api_key),
        decided_by=_email(row.actor) if row.hold_id else None,
        memo=memo,
    )


def _email(user: User | None) -> str | None:
    return user.email if user else None
