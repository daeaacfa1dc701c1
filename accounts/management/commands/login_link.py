"""``manage.py login_link EMAIL``: a link that logs somebody in once, without a password."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.auth import login_links
from accounts.auth.email_addresses import is_confirmed
from accounts.models import User, normalize_address


class Command(BaseCommand):
    help = "Prints a link that logs this user in, once, within a day (staff: an hour), past a second factor."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *_: Any, email: str, **_options: Any) -> None:
        user = User.objects.filter(email=normalize_address(email), is_active=True).first()
        if user is None:
            raise CommandError(f"Nobody with the address {email} may log in.")
        if not is_confirmed(user):
            self.stderr.write(f"Nobody has confirmed that {email} is this account's: it may be anybody's.")
        self.stdout.write(login_links.login_link(user))
