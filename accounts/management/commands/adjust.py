"""``manage.py adjust TEAM_SLUG AMOUNT --why TEXT --by EMAIL``: correct what a team has available."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.credits import adjustments
from accounts.credits.adjustments import Change
from accounts.ledger import operations as ledger
from accounts.ledger import posting
from accounts.ledger.money import to_credits
from accounts.ledger.operations import Balances, InsufficientCreditsError
from accounts.management.arguments import (
    balances_in_credits,
    find_team,
    find_user,
    memo_argument,
    signed_credits_argument,
)
from accounts.models import Adjustment, User
from accounts.teams.permissions import may_decide


def amount_argument(text: str) -> int:
    """Return the micro-credits of an amount other than zero."""
    if micro := signed_credits_argument(text):
        return micro
    raise ArgumentTypeError("an adjustment of 0 changes nothing")


def reason_argument(text: str) -> str:
    """Return the reason without blanks around it."""
    if reason := memo_argument(text.strip()):
        return reason
    raise ArgumentTypeError("say why; the team reads it in its ledger")


class Command(BaseCommand):
    help = (
        "Adds credits to what a team has available, or takes some away, as a transfer of its own, and prints "
        "the balances before and after as JSON. More than SECOND_REVIEW_CREDITS waits for a second person."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("team", metavar="TEAM_SLUG")
        parser.add_argument(
            "amount", type=amount_argument, metavar="AMOUNT", help="credits, such as 12.5 or -3"
        )
        parser.add_argument("--why", required=True, type=reason_argument, metavar="TEXT")
        parser.add_argument("--by", required=True, metavar="EMAIL", help="staff, or a manager of the team")

    def handle(self, *_: Any, team: str, amount: int, why: str, by: str, **_options: Any) -> None:
        adjusted, actor = find_team(team), find_user(by)
        if not may_decide(actor, adjusted):
            raise CommandError(f"{actor} is neither staff nor a manager of {adjusted}.")
        change = Change(adjusted, Adjustment.Kind.ADJUST, amount, why, key=f"adjust:{uuid4()}")
        try:
            before, waiting, after = adjust(change, actor)
        except InsufficientCreditsError as error:
            available = to_credits(error.available_microcredits)
            raise CommandError(
                f"{adjusted} has only {available} available; take that much or less."
            ) from error
        answer: dict[str, Any] = {
            "team": adjusted.name,
            "slug": adjusted.slug,
            "adjusted": str(to_credits(0 if waiting else amount)),
            "before": balances_in_credits(before),
            "after": balances_in_credits(after),
        }
        if waiting:
            answer |= {"waits_for_a_second_person": str(to_credits(amount)), "adjustment": waiting.pk}
        self.stdout.write(json.dumps(answer, ensure_ascii=False))


def adjust(change: Change, actor: User) -> tuple[Balances, Adjustment | None, Balances]:
    """Make the change; return the balances before, what waits for a second person, and the balances after."""
    # Locked, so that nothing else is posted in between and the two differ by the adjustment alone.
    with transaction.atomic(), posting.locked(change.team.pk):
        before = ledger.balances(change.team)
        waiting = adjustments.make(change, actor)
        return before, waiting, ledger.balances(change.team)
