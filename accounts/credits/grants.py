"""Give a team credits, and write into the audit log who did."""

from dataclasses import asdict, dataclass

from accounts import audit_log
from accounts.audit_log import Action
from accounts.ledger import operations as ledger
from accounts.ledger import posting
from accounts.ledger.operations import Balances
from accounts.models import Team, Transfer, User


@dataclass(frozen=True)
class Change:
    """A team's balances before and after a grant."""

    before: Balances
    after: Balances


def grant(team: Team, amount: int, *, key: str, actor: User, memo: str = "") -> Change:
    """Give the team credits, in micro-credits; raise DuplicateKeyError if the key was used before."""
    # Locked, so that nothing else is posted in between and the two differ by the grant alone.
    with posting.locked(team.pk):
        before = ledger.balances(team)
        ledger.grant(team, amount, key=key, actor=actor, memo=memo)
        change = Change(before, ledger.balances(team))
        made = Transfer.objects.get(idempotency_key=key)
        audit_log.record(
            Action.GRANT,
            f"transfer:{made.pk}",
            actor=actor,
            team=team,
            reason=memo,
            before=asdict(change.before),
            after=asdict(change.after),
        )
    return change
