"""Filter and page a team's audit log, and write it as CSV."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from accounts import spreadsheet
from accounts.models import AuditEntry, Team
from jobs.search import pagination
from jobs.search.pagination import Page

COLUMNS = ("time", "person", "action", "subject", "reason", "before", "after", "request")
CHUNK = 500


@dataclass(frozen=True)
class LogFilter:
    """Conditions on entries; empty means no filter. who: a part of the person's address."""

    action: str = ""
    who: str = ""

    @property
    def condition(self) -> Q:
        action = Q(action=self.action) if self.action else Q()
        return action & Q(actor__email__icontains=self.who) if self.who else action


def page(team: Team, log_filter: LogFilter, before: int | None, size: int) -> Page[AuditEntry]:
    """Return the newest matching entries before a key; see ``pagination.filtered_page``."""
    return pagination.filtered_page(_entries(team), log_filter.condition, before, size)


def csv(team: Team, log_filter: LogFilter) -> Iterator[bytes]:
    """Yield the matching entries as CSV, newest first, with flat memory; the same in every language."""
    return spreadsheet.chunks(COLUMNS, map(_cells, _matching(team, log_filter)))


def _matching(team: Team, log_filter: LogFilter) -> Iterator[AuditEntry]:
    before: int | None = None
    while True:
        entries = page(team, log_filter, before, CHUNK)
        yield from entries.rows
        if (before := entries.older) is None:
            return


def _entries(team: Team) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(team=team).select_related("actor")


def _cells(entry: AuditEntry) -> Iterator[str]:
    yield entry.at.isoformat()
    who = entry.actor.email if entry.actor else ""
    yield from map(spreadsheet.neutral, (who, entry.action, entry.subject, entry.reason))
    for values in (entry.before, entry.after):
        yield json.dumps(values, ensure_ascii=False, sort_keys=True)  # PostgreSQL orders them otherwise
    yield entry.request_id
