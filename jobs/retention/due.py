"""Erase what is older than its team keeps pictures, and say beforehand what that will be."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from time import monotonic

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action
from accounts.models import Team, User
from jobs.batches import control
from jobs.models import Attempt, Backdrop, Batch, BatchFile, Job
from jobs.queue import claims
from jobs.renditions import backdrops
from jobs.retention import erase, purge
from jobs.storage.interruptible import Stop, keep_going

GRACE = timedelta(hours=24)
"""So long after a team keeps its pictures for less time, none goes: a slip can be taken back."""

SHOWN_AHEAD = timedelta(days=7)
MAX_COUNTED = 10_000
RUN_SECONDS = 60
"""Other periodic tasks wait meanwhile."""


@dataclass(frozen=True)
class Going:
    """Pictures that will be erased. bytes: of their sources and results. is_cut: there are more."""

    pictures: int
    bytes: int

    @property
    def is_cut(self) -> bool:
        return self.pictures >= MAX_COUNTED


def run(stop: Stop = keep_going) -> None:
    """Erase what is due, then delete the files of what was erased; the next run goes on where it ends."""
    end = monotonic() + RUN_SECONDS

    def is_over() -> bool:
        return stop() or monotonic() > end

    purge.purge(is_over)
    erase_due(is_over)


def erase_due(stop: Stop = keep_going) -> int:
    """Erase all that teams don't keep any longer; return how many pictures."""
    now, erased = timezone.now(), 0
    keeping = Team.objects.filter(deleted_at=None, keep_days__isnull=False).exclude(keep_from__gt=now)
    for team in chain(keeping.order_by("pk"), Team.objects.exclude(deleted_at=None).order_by("pk")):
        erased += _erase_due_of(team, now, stop)
    return erased


def is_shorter(team: Team, days: int | None) -> bool:
    """Tell if pictures would go sooner than they do now."""
    return days is not None and (team.keep_days is None or days < team.keep_days)


def is_on_hold(team: Team) -> bool:
    """Tell if nothing of the team goes yet, since it was told to keep pictures for less time."""
    return team.keep_from is not None and team.keep_from > timezone.now()


@transaction.atomic
def keep_for(team: Team, days: int | None, actor: User) -> None:
    """Keep the team's pictures for so many days from now on, or for good with None."""
    team = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    before = team.keep_days
    if days == before:
        return
    if is_shorter(team, days):
        team.keep_from = timezone.now() + GRACE
    team.keep_days = days
    team.save(update_fields=["keep_days", "keep_from"])
    old, new = {"days": before}, {"days": days}
    audit_log.record(Action.RETENTION, f"team:{team.pk}", actor=actor, team=team, before=old, after=new)


def going(team: Team, days: int | None, *, ahead: timedelta = timedelta(0)) -> Going:
    """Return what would go so far from now if the team kept its pictures for so many days."""
    if days is None:
        return Going(0, 0)
    jobs = _of_age(team, timezone.now() + ahead - timedelta(days=days)).order_by("created_at")
    sizes = F("source_bytes") + Coalesce("result_bytes", 0)
    counted = Job.objects.filter(pk__in=jobs.values("pk")[:MAX_COUNTED])
    # A picture that shows another one's files has none of its own.
    sums = counted.aggregate(count=Count("pk"), bytes=Sum(sizes, filter=Q(reused_from=None)))
    return Going(sums["count"], sums["bytes"] or 0)


def _erase_due_of(team: Team, now: datetime, stop: Callable[[], bool]) -> int:
    subject, before = f"team:{team.pk}", now
    if team.deleted_at is None and team.keep_days is not None:
        before = now - timedelta(days=team.keep_days)
    if team.deleted_at:
        _cancel_late_uploads(team)
    jobs = Job.objects.filter(team=team, erased_at=None) if team.deleted_at else _of_age(team, before)
    erased = erase.erase_all(jobs, team, subject=subject, actor=None, stop=stop)
    for backdrop in Backdrop.objects.filter(team=team) if team.deleted_at else ():
        backdrops.delete(backdrop)
    # Files that were listed of late, and may still be uploaded, keep their batch.
    listed = BatchFile.objects.missing().filter(batch=OuterRef("pk"), updated_at__gte=before)
    batches = Batch.objects.filter(~Exists(listed), team=team, created_at__lt=before)
    while not stop() and erase.forget_names(batches):
        pass
    return erased


def _cancel_late_uploads(team: Team) -> None:
    """Cancel what was on its way when the team was deleted: its sender was a member when it began."""
    for batch in Batch.objects.filter(jobs__in=claims.unsent(Job.objects.filter(team=team))).distinct():
        control.cancel(batch)


def _of_age(team: Team, before: datetime) -> "QuerySet[Job]":
    """Select the team's pictures from before a time that nothing keeps; a damaged one is a case to decide.

    A picture that waited, for credits or to be tried again, is as old as its last call: nobody has seen what
    was paid for before that.
    """
    called = Attempt.objects.filter(job=OuterRef("pk"), ended_at__gte=before)
    return erase.erasable(Job.objects.filter(~Exists(called), team=team, created_at__lt=before, damage=None))
