"""``manage.py prepare``: what must be there before the three processes start. ``make run`` calls it."""

from typing import Any

from django.conf import settings
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
    help = "Migrates, collects static files, and makes a first owner and team. Prints their log-in link once."

    def handle(self, *_args: Any, **_options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        owner = self._owner()
        self.stdout.write(f"\n  {self._way_in(owner)}\n")

    def _owner(self) -> User:
        """The first owner; a second start finds them and adds nothing."""
        owner = User.objects.filter(is_superuser=True).order_by("-is_active", "pk").first()
        owner = owner or User.objects.create_superuser(FIRST_OWNER)
        if not Team.objects.exists():
            open_team(FIRST_TEAM, owner, FIRST_CREDITS * MICROCREDITS)
        return owner

    def _way_in(self, owner: User) -> str:
        """A link until a superuser has logged in for the first time, then how to get one.

        Under systemd the output of every start lands in the journal, which more people read than may be
        superuser, and a link asks for no second factor.
        """
        superusers = User.objects.filter(is_superuser=True)
        if owner.is_active and not superusers.exclude(last_login=None).exists():
            return f"Log in as {owner.email}, once, within an hour: {login_link(owner)}"
        return f"Log in at {settings.PUBLIC_URL}. This prints a link: manage.py login_link {owner.email}"
