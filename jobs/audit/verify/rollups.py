"""Check invariant 8: every stored sum equals the sum of its rows."""

from collections.abc import Iterator

from accounts.ledger import allowances
from accounts.ledger.money import to_credits
from accounts.models import Team
from jobs.audit import usage_rollup
from jobs.audit.reconcile import book
from jobs.audit.verify.paid import prices_are_learned
from jobs.audit.verify.statement import lines_recompute


def all_recompute() -> Iterator[str]:
    """Check 8: prices and balance periods by the attempts; statements, allowances and days by the ledger."""
    yield from prices_are_learned()
    yield from lines_recompute()
    yield from book.find_differences()
    for use, should in allowances.find_differences():
        whose = use.allowance.member or use.allowance.api_key
        yield (
            f"The allowance of {whose} counts {to_credits(use.used_microcredits)} since {use.starts_at}, and "
            f"the ledger {to_credits(should)}."
        )
    for team in Team.objects.order_by("pk"):
        for row in usage_rollup.differences(team):
            off = {name: -getattr(row, name) for name in usage_rollup.RECOMPUTED if getattr(row, name)}
            yield (
                f"The usage of {team} on {row.day} ({row.bucket}) is off by "
                f"{', '.join(f'{amount:+} {name}' for name, amount in off.items())}."
            )
