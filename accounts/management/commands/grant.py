"""``manage.py grant TEAM_SLUG CREDITS --by EMAIL [--memo TEXT]``: credits for a team, by an operator."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError

from accounts.auth.email_addresses import is_confirmed
from accounts.ledger import operations as ledger
from accounts.ledger.money import to_credits
from accounts.management.arguments import credits_argument
from accounts.models import Team, User, normalize_address

MAX_MEMO = 400


def some_credits(text: str) -> int:
    """More than none."""
    if micro := credits_argument(text):
        return micro
    raise ArgumentTypeError("nothing isn't granted")


def memo_argument(text: str) -> str:
    if len(text) > MAX_MEMO:
        raise ArgumentTypeError(f"a memo has {MAX_MEMO} characters at most")
    return text


class Command(BaseCommand):
    help = "Grants a team credits and prints its balance as JSON. Each call grants anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("team", metavar="TEAM_SLUG")
        parser.add_argument("credits", type=some_credits, metavar="CREDITS")
        parser.add_argument("--by", required=True, metavar="EMAIL", help="who grants; kept in the books")
        parser.add_argument("--memo", type=memo_argument, default="", metavar="TEXT", help="why; kept too")

    def handle(self, *_: Any, team: str, by: str, memo: str, **options: Any) -> None:
        found = Team.objects.filter(slug=team).first()
        if found is None:
            raise CommandError(f"No team has the slug {team!r}.")
        actor = User.objects.filter(email=normalize_address(by), is_active=True).first()
        if actor is None:
            raise CommandError(f"Nobody with the address {by} may log in.")
        if not is_confirmed(actor):
            raise CommandError(f"The address {by} was never confirmed; confirm it in the admin (Users).")
        ledger.grant(found, options["credits"], key=f"grant:{uuid4()}", actor=actor, memo=memo)
        balance = {kind: str(to_credits(micro)) for kind, micro in asdict(ledger.balances(found)).items()}
        self.stdout.write(json.dumps({"team": found.name, "slug": found.slug} | balance, ensure_ascii=False))
