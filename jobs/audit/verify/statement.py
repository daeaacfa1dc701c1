"""Check invariant 8 for the statement: what each transfer says of its team, spender, key and balance."""

from collections.abc import Iterator

from accounts.ledger import derived
from accounts.ledger.derived import Difference
from accounts.ledger.money import to_credits


def lines_recompute() -> Iterator[str]:
    """Check 8 for the columns of transfers that follow from others."""
    for found in derived.find_differences():
        yield f"Transfer {found.transfer} " + ", and ".join(_differences(found)) + "."


def _differences(found: Difference) -> Iterator[str]:
    if found.team != found.moved_team:
        yield f"is listed for team {found.team} and moved credits of team {found.moved_team}"
    if found.spender != found.holder:
        yield f"names the spender {found.spender} instead of {found.holder}"
    if found.key != found.holding_key:
        yield f"names the key {found.key} instead of {found.holding_key}"
    if found.available != found.added_up:
        stored, added_up = to_credits(found.available), to_credits(int(found.added_up))
        yield f"leaves {stored} available, and all up to it add up to {added_up}"
