"""A team's pages in tests: how they are reached and what they say."""

import re
from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Role, Team, User
from conftest import World

LEVELS = {"vera": Role.VIEWER, "bob": Role.MEMBER, "mona": Role.MANAGER, "alice": Role.OWNER}
DORA = "dora@example.org"
ANSWERS = {
    "name": "Other",
    "email": "erik@example.org",
    "role": 1,
    "credits": 1,
    "period": "day",
    "warn_percent": 9,
}
"""What each form of them takes."""


def page(world: World, name: str = "team", *args: Any) -> str:
    return reverse(name, args=[world.team.slug, *args])


def of(user: User, team: Team) -> Membership:
    return Membership.objects.get(team=team, user=user)


def log_in(client: Client, email: str) -> Client:
    client.force_login(User.objects.get(email=f"{email}@example.org"))
    return client


def text(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def row(response: Any, member: Membership) -> str:
    """Return what the page says about a person."""
    (found,) = re.findall(f'<li class="person" id="person-{member.pk}">(.*?)</li>', text(response))
    return str(found)


def told(response: Any) -> str:
    """Return the message on the page after a redirect."""
    return " ".join(re.findall(r'role="status">(.*?)</p>', text(response)))


def roles(world: World) -> dict[str, Role]:
    found = world.team.memberships.values_list("user__email", "role")
    return {email.partition("@")[0]: Role(role) for email, role in found}
