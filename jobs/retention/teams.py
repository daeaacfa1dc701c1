"""Delete a team: nobody enters it any more, its pictures go, and its books stay.

Only what has to be seen at once is done here, in one transaction. ``jobs.retention.due`` erases the pictures,
a few at a time, as those of a team that keeps none.
"""

from dataclasses import dataclass
from uuid import uuid4

from django.db import transaction
from django.db.models import Func
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action
from accounts.ledger import operations as ledger
from accounts.ledger import posting
from accounts.models import Allowance, ApiKey, Membership, Team, User
from accounts.teams.locks import lock
from jobs.audit.cases import queries
from jobs.models import Job, Preset, Recipe, Webhook

MAX_COUNTED = 1_000


class UnsettledError(Exception):
    """Pictures are under way, or a case is to be decided. Nothing was changed."""


@dataclass(frozen=True)
class Unsettled:
    """The work and the decisions that a team still waits for; counts end at a bound."""

    pictures: int
    cases: int

    def __bool__(self) -> bool:
        return bool(self.pictures or self.cases)


def unsettled(team: Team) -> Unsettled:
    """Return what has to end before the team can be deleted."""
    ended = (Job.State.FAILED, Job.State.CANCELLED)
    # As a literal, for SQLite's partial index ``job_not_done``; see ``jobs.models.job``.
    under_way = Job.objects.filter(team=team).exclude(state=Func(template="'done'")).exclude(state__in=ended)
    return Unsettled(under_way[:MAX_COUNTED].count(), queries.count(team))


@transaction.atomic
def delete_team(team: Team, actor: User) -> None:
    """Delete the team, once; raise UnsettledError. What it has left stays booked, and nobody can spend it."""
    # Before the accounts, as when a member is removed, so that no two can wait for each other.
    if not lock(team.pk):
        return
    with posting.locked(team.pk):
        if unsettled(team):
            raise UnsettledError(team.slug)
        now = timezone.now()
        left = ledger.balances(team).available
        ApiKey.objects.filter(team=team, revoked_at=None).update(revoked_at=now, revoked_by=actor)
        Allowance.objects.filter(team=team).delete()
        team.invitations.all().delete()
        Membership.objects.filter(team=team).delete()
        Webhook.objects.filter(team=team).delete()
        Recipe.objects.filter(team=team).delete()
        Preset.objects.filter(team=team).delete()
        # Not the number alone: another team may be called that.
        names = {"name": f"Team {team.pk}", "slug": f"deleted-{team.pk}-{uuid4().hex[:6]}"}
        Team.objects.filter(pk=team.pk).update(**names, deleted_at=now)
        audit_log.record(
            Action.DELETE_TEAM, f"team:{team.pk}", actor=actor, team=team, after={"left_microcredits": left}
        )
