"""``GET /v1.0/account``: a team's balance in remove.bg's format."""

from typing import Any

from pixian.protocol.credits import MICROCREDITS


def account(microcredits: int) -> dict[str, Any]:
    """Return the JSON body for a balance.

    All credits count as pay-as-you-go, since there are no subscriptions. No call is free: a preview is
    charged for its pixels.
    """
    total = _number(microcredits)
    credits_ = {"total": total, "subscription": 0, "payg": total, "enterprise": 0}
    return {"data": {"attributes": {"credits": credits_, "api": {"free_calls": 0, "sizes": "all"}}}}


def _number(microcredits: int) -> int | float:
    """Return the amount in credits, as an integer if it is whole: some clients accept nothing else."""
    whole, rest = divmod(microcredits, MICROCREDITS)
    return microcredits / MICROCREDITS if rest else whole
