"""Write and read the audit log: each decision of a person about credits, for ever.

::

    audit_log.record(Action.REFUND, f"attempt:{pk}", actor=user, team=team, reason=reason, after={…})

Call it in the transaction of what it records, so that neither is there without the other.
"""

from typing import Any

from accounts import request_id
from accounts.models import AuditEntry, Team, User
from accounts.models.audit import MAX_REASON

Action = AuditEntry.Action


class ReasonError(ValueError):
    """A decision needs a reason of at most 400 characters."""


def checked_reason(text: str) -> str:
    """Return the reason without blanks around it, or raise ReasonError."""
    text = text.strip()
    if not 0 < len(text) <= MAX_REASON:
        raise ReasonError(f"A reason of 1 to {MAX_REASON} characters is needed.")
    return text


def record(
    action: Action,
    subject: str,
    *,
    actor: User | None,
    team: Team | None,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """Write an entry. actor: None for what the site does by itself.

    before, after: the values that the decision changed, as JSON takes them.
    """
    return AuditEntry.objects.create(
        action=action,
        subject=subject,
        actor=actor,
        team=team,
        reason=reason,
        before=before or {},
        after=after or {},
        request_id=request_id.current(),
    )
