"""``manage.py login_link EMAIL``: print a link that logs a user in once, without a password."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.auth import login_links
from accounts.auth.email_addresses import is_confirmed
from accounts.management.arguments import find_user


class Command(BaseCommand):
    help = (
        "Prints a link that logs this user in once, within a day (staff: an hour), and past a second factor."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *_: Any, email: str, **_options: Any) -> None:
        user = find_user(email)
        if not is_confirmed(user):
            self.stderr.write(f"Nobody has confirmed that {email} is this account's: it may be anybody's.")
        self.stdout.write(login_links.login_link(user))
