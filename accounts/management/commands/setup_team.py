"""``manage.py setup_team NAME --owner EMAIL [--password P] [--credits N] [--api-key NAME]``: for scripts."""

import json
from argparse import ArgumentParser
from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction

from accounts.api_keys import keys
from accounts.auth.email_addresses import is_confirmed
from accounts.auth.login_links import login_link
from accounts.ledger.money import to_credits
from accounts.management.arguments import credits_argument, team_name_argument
from accounts.models import Team, User, normalize_address
from accounts.teams.create import open_team


class Command(BaseCommand):
    help = "Opens a team and prints it as JSON. Creates the owner if there is no such user yet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", type=team_name_argument)
        parser.add_argument("--owner", required=True, metavar="EMAIL")
        parser.add_argument("--api-key", metavar="NAME", help="create a key; its secret is shown once")
        parser.add_argument("--password", help="for a new owner; without one, only the link logs them in")
        parser.add_argument("--credits", type=credits_argument, default=0, metavar="N")

    @transaction.atomic
    def handle(self, *_: Any, name: str, owner: str, password: str | None, **options: Any) -> None:
        if Team.objects.filter(name=name).exists():
            raise CommandError(f"A team called {name!r} exists already.")
        user = self._owner(owner, password)
        team = open_team(name, user, options["credits"])
        api_key = options["api_key"]
        credentials = keys.create(team, user, api_key)[1] if api_key else None
        # No link for an owner with a second factor: it would skip that, and scripts keep what is printed.
        answer = {
            "team": team.name,
            "slug": team.slug,
            "owner": user.email,
            "credits": str(to_credits(options["credits"])),
            "login_link": None if is_mfa_enabled(user) else login_link(user),
        }
        if credentials:
            answer |= {"api_id": credentials.api_id, "api_secret": credentials.api_secret}
        self.stdout.write(json.dumps(answer, ensure_ascii=False))

    def _owner(self, email: str, password: str | None) -> User:
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email!r} is not an e-mail address.") from error
        user = User.objects.filter(email=normalize_address(email)).first()
        if user and password:
            raise CommandError(f"{email} exists already; leave --password out, theirs stays.")
        if user and not is_confirmed(user):
            raise CommandError(
                f"The account of {email} may be anybody's: its address was never confirmed. Confirm it in "
                "the admin (Users), or let its owner do so on their page E-mail, then open the team."
            )
        return user or User.objects.create_user(email, password)
