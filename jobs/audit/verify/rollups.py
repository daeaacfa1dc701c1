"""Check invariant 8: every stored sum equals the sum of its rows."""

from collections.abc import Iterator

from accounts.ledger import allowances
from accounts.ledger.money import to_credits
from jobs.audit.verify.paid import prices_are_learned


def all_recompute() -> Iterator[str]:
    """Check 8: prices against the attempts, the use of allowances against the ledger."""
    yield from prices_are_learned()
    for use, should in allowances.find_differences():
        whose = use.allowance.member or use.allowance.api_key
        yield (
            f"The allowance of {whose} counts {to_credits(use.used_microcredits)} since {use.starts_at}, and "
            f"the ledger {to_credits(should)}."
        )
