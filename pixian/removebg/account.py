"""``GET /v1.0/account``: a balance as the other service tells it."""

from typing import Any

from pixian.protocol.credits import MICROCREDITS


def account(microcredits: int) -> dict[str, Any]:
    """The JSON body. All credits count as paid by use, since there are no subscriptions here; a preview
    costs what its pixels cost, so that no call is free."""
    total = _number(microcredits)
    credits_ = {"total": total, "subscription": 0, "payg": total, "enterprise": 0}
    return {"data": {"attributes": {"credits": credits_, "api": {"free_calls": 0, "sizes": "all"}}}}


def _number(microcredits: int) -> int | float:
    """In credits; whole ones as an integer, since there are clients that take nothing else."""
    whole, rest = divmod(microcredits, MICROCREDITS)
    return microcredits / MICROCREDITS if rest else whole
