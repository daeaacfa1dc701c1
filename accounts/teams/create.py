"""Opening a team: its slug, its owner and its first credits; and calling it something else."""

from uuid import uuid4

from django.db import transaction
from django.utils.text import slugify

from accounts.ledger import operations as ledger
from accounts.models import Membership, Role, Team, User


@transaction.atomic
def open_team(name: str, owner: User, microcredits: int = 0, *, slug: str | None = None) -> Team:
    """A new team with one owner, and credits if there are any. Its slug is made of its name unless given."""
    team = Team.objects.create(name=name, slug=slug or _free_slug(name))
    Membership.objects.create(team=team, user=owner, role=Role.OWNER)
    if microcredits:
        ledger.grant(team, microcredits, key=f"opening:{team.pk}", actor=owner, memo="opening credits")
    return team


def rename(team: Team, name: str) -> None:
    """Its slug stays, and with it every address that somebody has kept."""
    Team.objects.filter(pk=team.pk).update(name=name)


def unguessable_slug(name: str) -> str:
    """A slug that doesn't tell whether another team has this name, for teams that anybody may open."""
    return f"{_plain_slug(name)}-{uuid4().hex[:6]}"


def _free_slug(name: str) -> str:
    slug = _plain_slug(name)
    return unguessable_slug(name) if Team.objects.filter(slug=slug).exists() else slug


def _plain_slug(name: str) -> str:
    return slugify(name)[:40] or "team"
