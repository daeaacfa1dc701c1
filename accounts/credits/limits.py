"""Set, change and lift allowances, and write into the audit log who did."""

from typing import Any

from accounts import audit_log
from accounts.audit_log import Action
from accounts.ledger import allowances, posting
from accounts.models import Allowance, ApiKey, Membership, User

FIELDS = ("limit_microcredits", "period", "warn_percent")


def grant(spender: Membership | ApiKey, by: User, *, limit: int, period: str, warn_percent: int) -> None:
    """Set or change an allowance, in micro-credits."""
    with posting.locked(spender.team_id):
        before = _values(spender)
        allowances.grant(spender, limit=limit, period=period, warn_percent=warn_percent)
        _record(spender, by, before)


def lift(spender: Membership | ApiKey, by: User) -> None:
    """Delete the spender's allowance, so that only the team's pool bounds them."""
    with posting.locked(spender.team_id):
        if before := _values(spender):
            allowances.lift(spender)
            _record(spender, by, before)


def _values(spender: Membership | ApiKey) -> dict[str, Any]:
    """Return the allowance as it is stored, or nothing if there is none."""
    theirs = {"member": spender} if isinstance(spender, Membership) else {"api_key": spender}
    return Allowance.objects.filter(**theirs).values(*FIELDS).first() or {}


def _record(spender: Membership | ApiKey, by: User, before: dict[str, Any]) -> None:
    subject = f"user:{spender.user_id}" if isinstance(spender, Membership) else f"api_key:{spender.pk}"
    audit_log.record(
        Action.ALLOWANCE, subject, actor=by, team=spender.team, before=before, after=_values(spender)
    )
