"""Teams, people and keys that the rows belong to.

A seventh of the pictures are another team's. Half came by one of some keys; the others lie in batches of ten,
the last of which has hundreds. A thousandth failed, one in 1,200 is in doubt, and one in 5,000 was charged
above its hold, so that the team has about a thousand cases to review.
"""

from dataclasses import dataclass

from django.db.models import Max

from accounts.api_keys import keys
from accounts.ledger.money import MICROCREDITS
from accounts.models import LedgerAccount, Membership, Role, Scope, Transfer, User
from accounts.teams.create import open_team
from bench.speed.many_rows.sql import Rows
from jobs.models import UpstreamAccount, Webhook

EMAIL, TEAM = "bench@example.org", "Bench"
PEOPLE, KEYS, TEAMS = 6, 4, 200
GRANTED = 10_000_000 * MICROCREDITS

MINE = "(i / 20) % 7 <> 0"
FAILED, IN_DOUBT, OVER = "i % 1000 = 0", "i % 1200 = 27", "i % 5000 = 31"
BROWSER = "i % 2 = 1"


@dataclass
class Owners:
    """The rows' owners, by their ids; people and keys have ids in a row.

    ledger, others: the ledger accounts of the team and of the other one, by kind. before: the last transfer
    that was there before.
    """

    rows: Rows
    jobs: int
    team: int
    other: int
    person: int
    key: int
    account: int
    webhook: int
    ledger: dict[str, int]
    others: dict[str, int]
    before: int

    def __post_init__(self) -> None:
        self.spender = f"{self.person} + (i / 20) % {PEOPLE}"  # all of a batch are one person's
        self.api_key = f"CASE WHEN NOT {BROWSER} THEN {self.key} + (i / 2) % {KEYS} END"
        self.whose = self.of_team(str(self.team), str(self.other))
        self.hold = f"{self.before} + 4 * i - 3"

    def of_team(self, mine: str, others: str) -> str:
        """Return one of two values, by whose the i-th picture is."""
        return f"CASE WHEN {MINE} THEN {mine} ELSE {others} END"


def made(jobs: int) -> Owners:
    """Create the teams, people and keys that the rows belong to."""
    people = [User.objects.create_superuser(EMAIL)]
    people += [User.objects.create_user(f"person-{n}@example.org") for n in range(1, PEOPLE)]
    team, other = (open_team(name, people[0], GRANTED) for name in (TEAM, "Others"))
    for person in people[1:]:
        Membership.objects.create(team=team, user=person, role=Role.MEMBER)
    for n in range(TEAMS):
        open_team(f"Team {n}", User.objects.create_user(f"owner-{n}@example.org"), 100 * MICROCREDITS)
    shop, *_ = [keys.create(team, people[0], f"shop {n}", scopes=list(Scope))[0] for n in range(KEYS)]
    ledgers = [
        {account.kind: account.pk for account in LedgerAccount.objects.filter(team=whose)}
        for whose in (team, other)
    ]
    return Owners(
        rows=Rows(jobs),
        jobs=jobs,
        team=team.pk,
        other=other.pk,
        person=people[0].pk,
        key=shop.pk,
        account=UpstreamAccount.objects.get_or_create(upstream="https://api.pixian.ai", api_id="px1")[0].pk,
        webhook=Webhook.objects.create(team=team, url="https://example.org/hook", created_by=people[0]).pk,
        ledger=ledgers[0],
        others=ledgers[1],
        before=Transfer.objects.aggregate(last=Max("pk"))["last"],
    )
