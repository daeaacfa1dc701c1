"""Create a team with its slug, owner and first credits; rename a team."""

from uuid import uuid4

from django.db import transaction
from django.utils.text import slugify

from accounts.ledger import operations as ledger
from accounts.models import Membership, Role, Team, User


@transaction.atomic
def open_team(name: str, owner: User, microcredits: int = 0, *, slug: str | None = None) -> Team:
    """Create a team with one owner, and grant it credits if any are given.

    Without a slug, one is made from the name.
    """
    team = Team.objects.create(name=name, slug=slug or _free_slug(name))
    Membership.objects.create(team=team, user=owner, role=Role.OWNER)
    if microcredits:
        ledger.grant(team, microcredits, key=f"opening:{team.pk}", actor=owner, memo="opening credits")
    return team


def rename(team: Team, name: str) -> None:
    """Change the team's name. Its slug stays, so that bookmarks keep working."""
    Team.objects.filter(pk=team.pk).update(name=name)


def unguessable_slug(name: str) -> str:
    """Return a slug that doesn't reveal if another team has this name, for teams that any user may create."""
    return f"{_plain_slug(name)}-{uuid4().hex[:6]}"


def _free_slug(name: str) -> str:
    slug = _plain_slug(name)
    return unguessable_slug(name) if Team.objects.filter(slug=slug).exists() else slug


def _plain_slug(name: str) -> str:
    return slugify(name)[:40] or "team"
