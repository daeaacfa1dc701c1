"""Show cases and the audit log's entries on pages."""

from typing import Any, NamedTuple

from django import template
from django.contrib.auth.models import AnonymousUser
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.ledger.money import exact
from accounts.models import Adjustment, AuditEntry, Membership, Role, Team, User
from jobs.audit.cases import queries
from jobs.models import Attempt, BulkDecision

register = template.Library()

BALANCES = ("available", "held", "spent", "owed")
NAMES: dict[str, str | Promise] = {
    "available": pgettext_lazy("a team's credits", "Available"),
    "held": pgettext_lazy("a team's credits", "Held"),
    "spent": pgettext_lazy("a team's credits", "Spent"),
    "owed": pgettext_lazy("a team's credits", "Owed"),
    "state": _("State"),
    "doubt": _("Doubt"),
    "header": _("Charge header"),
    "charged_microcredits": _("Charged"),
    "held_microcredits": _("Held for the call"),
    "microcredits": _("Credits"),
    "change": _("Kind"),
    "decision": _("Decision"),
    "calls": _("Calls"),
    "batch": _("Decided together as"),
    "pictures": _("Pictures"),
    "quota_bytes": _("Storage (bytes)"),
    "days": _("Pictures kept for (days)"),
    "left_microcredits": _("Credits left"),
    "reviewed_at": _("Reviewed"),
    "put_off_at": _("Waits for the balance since"),
}
CHOICES = {
    "state": Attempt.State,
    "doubt": Attempt.Doubt,
    "change": Adjustment.Kind,
    "decision": BulkDecision.Choice,
}


class Change(NamedTuple):
    """A value that a decision changed, as the page shows it; empty if there was none."""

    name: str | Promise
    before: str
    after: str


@register.simple_tag
def case_count(
    user: User | AnonymousUser, team: Team, membership: Membership | None, known: int | str = ""
) -> str:
    """Return how many cases wait, as ``7`` or ``99+``; empty for none, or for a reader who can't decide.

    known: their number on a page that has counted them, which spares a query.
    """
    manages = membership is not None and membership.role >= Role.MANAGER
    if not (manages or getattr(user, "is_staff", False)):
        return ""
    count = known if isinstance(known, int) else queries.count(team)
    return f"{queries.MAX_COUNTED}+" if count > queries.MAX_COUNTED else str(count or "")


@register.filter
def manages(membership: Membership | None) -> bool:
    """Return True for managers and owners."""
    return membership is not None and membership.role >= Role.MANAGER


@register.filter
def changes(entry: AuditEntry) -> list[Change]:
    """Return what the entry's decision changed, or newly set."""
    names = [*entry.before, *(name for name in entry.after if name not in entry.before)]
    return [
        Change(NAMES.get(name, name), _text(name, entry.before), _text(name, entry.after))
        for name in names
        if entry.before.get(name) != entry.after.get(name, entry.before.get(name))
    ]


def _text(name: str, values: dict[str, Any]) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if isinstance(value, int) and (name in BALANCES or name.endswith("microcredits")):
        return exact(value)
    if name.endswith("_at") and (moment := parse_datetime(str(value))):
        return date_format(localtime(moment), "j N Y, H:i:s")
    choices = CHOICES.get(name)
    return str(choices(value).label if choices and value in choices.values else value)
