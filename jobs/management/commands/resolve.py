"""``manage.py resolve ATTEMPT --charged N | --not-charged --why TEXT --by EMAIL``: settle a call in doubt.

With ``--all`` instead of ATTEMPT, all calls in doubt that the other options select.
"""

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from accounts import request_id
from accounts.audit_log import ReasonError
from accounts.credits.adjustments import WaitingError
from accounts.ledger import operations as ledger
from accounts.ledger.money import to_credits
from accounts.management.arguments import credits_argument, memo_argument, whole_number
from accounts.models import Team, Transfer, User
from accounts.teams.permissions import may_decide
from jobs.audit import review, several
from jobs.audit.cases import bulk, queries
from jobs.audit.cases.bulk import Bulk, Choice
from jobs.calls import attempts
from jobs.models import Attempt
from jobs.search.date_range import DateRange

MAX_KEY = 2**63 - 1
WAITS = "Nothing was booked: a second person has to approve this on the page Review."
WAITS_ALREADY = "A decision on it waits for a second person already, on the page Review."


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
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("attempt", nargs="?", help="its number, or JOB/NUMBER")
        which.add_argument("--all", action="store_true", help="all calls in doubt, narrowed down by these:")
        parser.add_argument("--team", metavar="SLUG")
        parser.add_argument(
            "--account",
            type=whole_number(1, MAX_KEY),
            metavar="ID",
            help="of the upstream, as the address has it",
        )
        parser.add_argument("--since", type=date.fromisoformat, metavar="DATE", help="first day of sending")
        parser.add_argument("--until", type=date.fromisoformat, metavar="DATE", help="last day, included")
        charge = parser.add_mutually_exclusive_group(required=True)
        charge.add_argument("--charged", type=charge_argument, metavar="N", help="credits, of one call")
        charge.add_argument("--not-charged", action="store_const", const=0, dest="charged")
        charge.add_argument("--as-estimated", action="store_true", help="with --all")
        charge.add_argument("--as-balance", action="store_true", help="with --all: as the balances say")
        parser.add_argument("--why", required=True, type=memo_argument, metavar="TEXT")
        parser.add_argument("--by", required=True, metavar="EMAIL")
        parser.add_argument("--yes", action="store_true", help="with --all: decide, after a look without it")

    def handle(self, *_: Any, attempt: str | None, why: str, by: str, **options: Any) -> None:
        try:
            actor = review.find_user(by)
            if attempt is None:
                with request_id.working_for(str(uuid4())):
                    self._several(actor, why, options)
            elif options["charged"] is None:
                raise CommandError("--as-estimated and --as-balance need --all.")
            else:
                self._one(attempt, options["charged"], actor, why)
        except (review.UnknownUserError, ReasonError) as error:
            raise CommandError(str(error)) from error
        except WaitingError as error:
            raise CommandError(f"{WAITS_ALREADY} Nothing was changed: {error}") from error

    def _one(self, name: str, charged: int, actor: User, why: str) -> None:
        in_doubt = find_attempt(name)
        try:
            if not may_decide(actor, in_doubt.job.team):
                raise CommandError(f"{actor} is neither staff nor a manager of {in_doubt.job.team}.")
            waiting = several.decide_one(in_doubt, charged, actor, why)
        except attempts.WrongStateError as error:
            raise CommandError(f"Attempt {name} isn't in doubt, so nothing was booked.") from error
        except review.NotBookedError as error:
            raise CommandError(f"Attempt {name} can't be booked, and stays in doubt: {error}") from error
        if waiting:
            self.stdout.write(WAITS)
        else:
            self._report(in_doubt)

    def _several(self, actor: User, why: str, options: dict[str, Any]) -> None:
        asked = find_several(options)
        for team in {call.attempt.job.team for call in asked.calls}:
            if not may_decide(actor, team):
                raise CommandError(f"{actor} is neither staff nor a manager of {team}.")
        for each in asked.affected:
            self.stdout.write(
                f"{each.team}, {each.who}: {each.calls} calls, {to_credits(each.stake)} at stake"
            )
        self.stdout.write(
            f"{len(asked.calls)} calls in doubt: {to_credits(asked.total)} to book of "
            f"{to_credits(asked.held)} held, {to_credits(asked.stake)} at stake."
        )
        if not options["yes"]:
            self.stdout.write("Nothing was decided. Run it again with --yes to decide.")
            return
        outcome = bulk.decide(asked.shown, asked, uuid4(), actor, why)
        if outcome is None:
            self.stdout.write(WAITS)
            return
        self.stdout.write(f"Decided: {len(outcome.done)}.")
        for said, left in (("decided by someone else", outcome.late), ("can't be booked", outcome.refused)):
            for attempt in left:
                self.stdout.write(f"{attempt.job_id}/{attempt.number}: {said}, so left alone.")

    def _report(self, attempt: Attempt) -> None:
        team = attempt.job.team
        for row in Transfer.objects.filter(hold__isnull=False, hold__attempt=attempt).order_by("pk"):
            self.stdout.write(f"{row.kind} {to_credits(row.amount_microcredits)}")
        now = ledger.balances(team)
        figures = {"available": now.available, "held": now.held, "spent": now.spent, "owed": now.owed}
        self.stdout.write(
            f"{team}: " + ", ".join(f"{name} {to_credits(amount)}" for name, amount in figures.items())
        )


def find_several(options: dict[str, Any]) -> Bulk:
    """Return what to decide about the calls that the options select; raise CommandError."""
    if options["charged"]:
        raise CommandError("With --all, say --as-estimated, --not-charged or --as-balance.")
    team = Team.objects.filter(slug=options["team"]).first() if options["team"] else None
    if options["team"] and team is None:
        raise CommandError(f"There is no team {options['team']}.")
    sent = DateRange(options["since"], options["until"]).contains("sent_at")
    account = options["account"]
    cases = queries.doubts(team, sent if account is None else sent & Q(account=account))[: bulk.MAX_CASES]
    if not cases:
        raise CommandError("No such call is in doubt, except those that wait for a second person.")
    choice = Choice.NOT_CHARGED
    if options["as_estimated"]:
        choice = Choice.ESTIMATED
    elif options["as_balance"]:
        choice = Choice.BALANCE
    asked = bulk.bulk(cases, choice)
    if asked is None:
        raise CommandError("The balances don't say what these calls cost.")
    return asked


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
