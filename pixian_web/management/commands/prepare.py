"""``manage.py prepare``: what must be there before the three processes start. ``make run`` calls it."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from accounts.links import login_link
from accounts.models import Team, User
from accounts.money import MICROCREDITS
from accounts.teams import open_team

FIRST_OWNER = "owner@localhost"
FIRST_TEAM = "My team"
FIRST_CREDITS = 100


class Command(BaseCommand):
    help = "Migrates, collects static files, makes a first owner and team, and prints a log-in link."

    def handle(self, *_args: Any, **_options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        owner = self._owner()
        self.stdout.write(f"\n  Log in as {owner.email}, once: {login_link(owner)}\n")

    def _owner(self) -> User:
        """The first owner; a second start finds them and adds nothing."""
        owner = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        owner = owner or User.objects.create_superuser(FIRST_OWNER)
        if not Team.objects.exists():
            open_team(FIRST_TEAM, owner, FIRST_CREDITS * MICROCREDITS)
        return owner
