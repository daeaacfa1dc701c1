"""Measure what teams store, and bound it.

A sum of all files is too much for each upload, so they are measured every hour, and ``Team.storage_full``
says if a team is above its quota. Files that several jobs show count once. Previews and backgrounds don't
count.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, Max, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action
from accounts.models import Team, User
from jobs.models import Job, Rendition, TeamStorage

WARN_PERCENT = 90


@dataclass(frozen=True)
class Usage:
    """Bytes that a team has stored, and its quota; None for no quota."""

    bytes: int
    quota: int | None
    measured_at: datetime | None

    @property
    def is_full(self) -> bool:
        return self.quota is not None and self.bytes >= self.quota

    @property
    def warns(self) -> bool:
        return self.quota is not None and self.bytes * 100 >= self.quota * WARN_PERCENT


def usage(team: Team) -> Usage:
    """Return what was measured last."""
    row = TeamStorage.objects.filter(team=team).first()
    return Usage(row.bytes if row else 0, team.quota_bytes, row.measured_at if row else None)


def measure() -> None:
    """Measure the files of all teams, and note which teams are above their quota."""
    now, stored = timezone.now(), _stored()
    for team in Team.objects.order_by("pk"):
        TeamStorage.objects.update_or_create(
            team=team, defaults={"bytes": stored[team.pk], "measured_at": now}
        )
        _note(team.pk)


@transaction.atomic
def set_quota(team: Team, most: int | None, actor: User) -> None:
    """Bound what the team stores, in bytes; None lifts the bound. It holds from now on."""
    before = Team.objects.select_for_update(no_key=True).get(pk=team.pk).quota_bytes
    if most == before:
        return
    Team.objects.filter(pk=team.pk).update(quota_bytes=most)
    _note(team.pk)
    old, new = {"quota_bytes": before}, {"quota_bytes": most}
    audit_log.record(Action.QUOTA, f"team:{team.pk}", actor=actor, team=team, before=old, after=new)


def _note(pk: int) -> None:
    """Note if the team is above its quota; written only if that has changed."""
    team = Team.objects.get(pk=pk)
    is_full = usage(team).is_full
    if is_full != team.storage_full:
        Team.objects.filter(pk=pk).update(storage_full=is_full)


def _stored() -> Counter[int]:
    """Return the bytes of each team's files, by the team's key."""
    total = Counter[int]()
    sizes = F("source_bytes") + Coalesce("result_bytes", 0) + Coalesce("original_bytes", 0)
    own = Job.objects.filter(purged_at=None, reused_from=None).order_by().values("team")
    total.update(dict(own.annotate(all=Sum(sizes)).values_list("team", "all")))
    # Jobs that show the same files share renditions in the same style too.
    made = Rendition.objects.filter(state=Rendition.State.MADE).order_by().values("job__team", "file")
    for team, size in made.annotate(size=Max("bytes")).values_list("job__team", "size").iterator():
        total[team] += size or 0
    return total
