"""A team's money for its programs: what it has, what bounds the key, and what moved."""

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


class Whose(StrEnum):
    KEY = "key"
    MEMBER = "member"


class AllowanceStanding(Schema):
    """A bound on what the key may spend, in its present period."""

    of: Annotated[Whose, one_of(Whose)] = Field(description="This key's, or the member's whose key it is.")
    limit: Credits
    used: Credits
    left: Credits
    period: Annotated[Allowance.Period, one_of(Allowance.Period)]
    renews_at: datetime
    warns: bool = Field(description="It is nearly used up.")


class Balance(Schema):
    """What the team has, and what bounds this key besides."""

    available: Credits
    held: Credits = Field(description="Set aside for calls under way or in doubt.")
    spent: Credits
    owed: Credits = Field(description="Charged above what the team had; calls wait until it is covered.")
    allowances: list[AllowanceStanding] = Field(description="The tightest first.")


class Movement(Schema):
    """A line of the statement: credits that moved between two accounts, once and for ever."""

    id: int
    at: datetime
    kind: Annotated[Transfer.Kind, one_of(Transfer.Kind)]
    amount: Credits
    debit: Account = Field(description="Where they left.")
    credit: Account = Field(description="Where they went.")
    hold: int | None = Field(description="The id of the hold that this line ends.")
    reference: str = Field(description="What it was for, such as job:ID:ATTEMPT.")
    who: str | None = Field(
        description="Who spends or, where nobody does, who entered it: an e-mail address."
    )
    key: KeyName | None = Field(description="By which it is spent.")
    decided_by: str | None = Field(description="Who ended the hold, where a person had to.")
    memo: str


class Statement(Listed[Movement]):
    """A page of the statement, the newest line first."""


@router.get(
    "/balance",
    response=Balance,
    url_name="api_balance",
    summary="Tell the balance",
    **requires(Scope.BALANCE),
)
def show_balance(request: KeyRequest) -> Balance:
    """The team's four figures, and the allowances that bound this key."""
    key = request.auth
    figures = ledger.balances(key.team)
    return Balance(
        available=credits_(figures.available),
        held=credits_(figures.held),
        spent=credits_(figures.spent),
        owed=credits_(figures.owed),
        allowances=[_standing(each) for each in allowances.of_spender(key.team, key.owner, key)],
    )


@router.get(
    "/ledger",
    response=Statement,
    url_name="api_ledger",
    summary="List what moved",
    **requires(Scope.LEDGER),
)
def list_movements(request: KeyRequest, asked: Query[Paged]) -> Statement:
    """The team's statement, the newest line first."""
    page = _newest(request.auth.team, asked)
    return Statement(items=[_movement(row) for row in page.rows], next=next_page(request, page))


def _newest(team: Team, asked: Paged) -> pagination.Page[Transfer]:
    """A page, out of one of each account's debits and one of its credits: an index has these in order. For
    all of them at once the database might read every transfer there is."""
    every = Transfer.objects.only("pk")
    listed = pagination.of_days(every, every, asked.span)
    keys = set[int]()
    for account in LedgerAccount.objects.filter(team=team):
        for side in ("debit", "credit"):
            page = pagination.page(listed.filter(**{side: account}), asked.before, asked.limit + 1)
            keys.update(row.pk for row in page.rows)
    newest = Transfer.objects.filter(pk__in=sorted(keys, reverse=True)[: asked.limit + 1])
    named = newest.select_related("debit", "credit", "actor", "api_key", "hold__actor", "hold__api_key")
    return pagination.page(named, None, asked.limit)


def _standing(standing: Standing) -> AllowanceStanding:
    allowance = standing.allowance
    return AllowanceStanding(
        of=Whose.KEY if allowance.api_key_id else Whose.MEMBER,
        limit=credits_(standing.limit),
        used=credits_(standing.used),
        left=credits_(standing.left),
        period=Allowance.Period(allowance.period),
        renews_at=standing.renews_at,
        warns=standing.warns,
    )


def _movement(row: Transfer) -> Movement:
    begun = row.hold or row  # whose it is stands where it began
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
