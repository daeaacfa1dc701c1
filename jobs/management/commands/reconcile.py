"""``manage.py reconcile``: each attempt's verdict, and the account's balance over time."""

import json
import sys
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from accounts.ledger.money import to_credits
from accounts.models import User
from jobs.audit import balance_snapshots, review
from jobs.audit.reconcile import report
from jobs.audit.reconcile.account import balances
from jobs.audit.reconcile.rows import not_fine, sent_within
from jobs.audit.reconcile.settle import NotAllowedError, settle
from jobs.calls.upstream import connect
from jobs.search.date_range import DateRange
from pixian.protocol.errors import AccountRefused, PixianError, Unreachable


class Command(BaseCommand):
    help = "Compares books, charges and the account's balance. Exits with 1 where a person has to look."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=date.fromisoformat, metavar="DATE", help="first day, like 2026-01-31"
        )
        parser.add_argument("--until", type=date.fromisoformat, metavar="DATE", help="last day, included")
        parser.add_argument("--no-snapshot", action="store_true", help="don't ask for the balance first")
        parser.add_argument("--settle", action="store_true", help="book what the balances make certain")
        parser.add_argument("--by", metavar="EMAIL", help="who says so; needed with --settle")
        parser.add_argument(
            "--attempts", action="store_true", help="list all that are neither matched nor released"
        )
        parser.add_argument("--json", action="store_true", help="amounts in micro-credits")

    def handle(self, *_: Any, since: date | None, until: date | None, **options: Any) -> None:
        span = DateRange(since, until)
        actor = _actor(options["by"]) if options["settle"] else None
        said = [] if options["no_snapshot"] else [_snapshot()]
        if actor:
            said += _settle(span, actor)
        found = report.report(span)
        listed = list(not_fine(sent_within(span))) if options["attempts"] else []
        if options["json"]:
            data = {"said": said, "listed": [report.row_data(row) for row in listed]}
            self.stdout.write(
                json.dumps(data | report.as_data(found), cls=DjangoJSONEncoder, ensure_ascii=False)
            )
        else:
            self.stdout.write("\n".join([*said, *report.as_text(found, listed)]))
        if found.needs_a_person:
            sys.exit(1)


def _actor(email: str | None) -> User:
    if not email:
        raise CommandError("--settle needs --by EMAIL: the new transfers have an author.")
    try:
        return review.find_user(email)
    except review.UnknownUserError as error:
        raise CommandError(str(error)) from error


def _snapshot() -> str:
    """Ask for the balance; what is known already is compared even where it isn't told."""
    url = settings.PIXIAN_API_URL
    upstream = connect()
    try:
        with upstream.client:
            taken = balance_snapshots.take(upstream)
    except AccountRefused as error:
        return (
            f"No balance: {url} refuses the account ({error}). Look at PIXIAN_API_ID and PIXIAN_API_SECRET."
        )
    except Unreachable as error:
        return f"No balance: {url} can't be reached ({error})."
    except PixianError as error:
        return f"No balance: {url} didn't tell it ({error})."
    if taken is None:
        return "The embedded engine charges nobody and has no balance."
    return f"Balance: {to_credits(taken.microcredits)} credits at {url}."


def _settle(span: DateRange, actor: User) -> list[str]:
    try:
        return settle(balances(span).periods, actor)
    except NotAllowedError as error:
        raise CommandError(str(error)) from error
