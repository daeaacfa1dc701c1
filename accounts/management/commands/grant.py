"""``manage.py grant TEAM_SLUG CREDITS --by EMAIL [--memo TEXT]``: give a team credits."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError

from accounts.auth.email_addresses import is_confirmed
from accounts.credits import grants
from accounts.management.arguments import (
    balances_in_credits,
    credits_argument,
    find_team,
    find_user,
    memo_argument,
)


def grant_argument(text: str) -> int:
    """Return the micro-credits of an amount above zero."""
    if micro := credits_argument(text):
        return micro
    raise ArgumentTypeError("a grant of 0 changes nothing")


class Command(BaseCommand):
    help = "Grants a team credits and prints its balances as JSON. Each run is a grant of its own."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("team", metavar="TEAM_SLUG")
        parser.add_argument("amount", type=grant_argument, metavar="CREDITS")
        parser.add_argument("--by", required=True, metavar="EMAIL", help="who grants; kept in the ledger")
        parser.add_argument("--memo", type=memo_argument, default="", metavar="TEXT", help="why; kept too")

    def handle(self, *_: Any, team: str, amount: int, by: str, memo: str, **_options: Any) -> None:
        granted, actor = find_team(team), find_user(by)
        if not is_confirmed(actor):
            raise CommandError(f"The address {by} was never confirmed; confirm it in the admin (Users).")
        change = grants.grant(granted, amount, key=f"grant:{uuid4()}", actor=actor, memo=memo)
        balances = balances_in_credits(change.after)
        answer = {"team": granted.name, "slug": granted.slug} | balances
        self.stdout.write(json.dumps(answer, ensure_ascii=False))
