"""``manage.py resolve ATTEMPT --charged N | --not-charged --why TEXT --by EMAIL``: settle a call in doubt."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.ledger import operations as ledger
from accounts.ledger.money import to_credits
from accounts.management.arguments import credits_argument
from accounts.models import Transfer
from accounts.teams.permissions import may_decide
from jobs.audit import review
from jobs.calls import attempts
from jobs.models import Attempt


def charge_argument(text: str) -> int:
    """Parse ``--charged 1.25`` to micro-credits."""
    micro = credits_argument(text)
    if micro == 0:
        raise ArgumentTypeError("use --not-charged if nothing was charged")
    if not 0 < micro < review.MAX_CHARGE:
        raise ArgumentTypeError(f"{text!r} is out of range")
    return micro


class Command(BaseCommand):
    help = "Book what a call in doubt was charged, as new transfers with author and reason."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("attempt", help="its number, or JOB/NUMBER")
        charge = parser.add_mutually_exclusive_group(required=True)
        charge.add_argument("--charged", type=charge_argument, metavar="N", help="credits")
        charge.add_argument("--not-charged", action="store_const", const=0, dest="charged")
        parser.add_argument("--why", required=True, metavar="TEXT")
        parser.add_argument("--by", required=True, metavar="EMAIL")

    def handle(self, *_: Any, attempt: str, charged: int, why: str, by: str, **_options: Any) -> None:
        in_doubt = find_attempt(attempt)
        try:
            actor = review.find_user(by)
            if not may_decide(actor, in_doubt.job.team):
                raise CommandError(f"{actor} is neither staff nor a manager of {in_doubt.job.team}.")
            review.resolve(in_doubt, charged, actor, why)
        except (review.UnknownUserError, review.ReasonError) as error:
            raise CommandError(str(error)) from error
        except attempts.WrongStateError as error:
            raise CommandError(f"Attempt {attempt} isn't in doubt, so nothing was booked.") from error
        except review.NotBookedError as error:
            raise CommandError(f"Attempt {attempt} can't be booked, and stays in doubt: {error}") from error
        self._report(in_doubt)

    def _report(self, attempt: Attempt) -> None:
        team = attempt.job.team
        for row in Transfer.objects.filter(hold__isnull=False, hold__attempt=attempt).order_by("pk"):
            self.stdout.write(f"{row.kind} {to_credits(row.amount_microcredits)}")
        now = ledger.balances(team)
        figures = {"available": now.available, "held": now.held, "spent": now.spent, "owed": now.owed}
        self.stdout.write(
            f"{team}: " + ", ".join(f"{name} {to_credits(amount)}" for name, amount in figures.items())
        )


def find_attempt(text: str) -> Attempt:
    """Return the attempt with this primary key, or by job and number, as in ``12/1``; raise CommandError."""
    if not re.fullmatch(r"[0-9]{1,18}(/[0-9]{1,4})?", text):
        raise CommandError(f"{text!r} is neither the number of an attempt nor JOB/NUMBER.")
    first, _, number = text.partition("/")
    lookup = {"job": first, "number": number} if number else {"pk": first}
    attempt = Attempt.objects.select_related("job__team", "hold").filter(**lookup).first()
    if attempt is None:
        raise CommandError(f"There is no attempt {text}.")
    return attempt
