"""Parse and look up what several commands take."""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal

from django.core.management.base import CommandError

from accounts.ledger.money import to_credits, to_microcredits
from accounts.ledger.operations import Balances
from accounts.models import Team, User, normalize_address
from pixian.protocol.text import is_storable

MAX_MEMO = 400

# Decimal itself also reads 1_0, 1e3 and the digits of other scripts.
PLAIN = re.compile(r"-?[0-9]+(\.[0-9]{1,6})?")


def credits_argument(text: str) -> int:
    """Return the micro-credits of ``12.5``."""
    micro = signed_credits_argument(text)
    if micro < 0:
        raise ArgumentTypeError(f"{text!r} is out of range")
    return micro


def signed_credits_argument(text: str) -> int:
    """Return the micro-credits of ``12.5`` or ``-12.5``."""
    if not PLAIN.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is not a number with at most six decimals")
    micro = to_microcredits(Decimal(text))
    if abs(micro) >= 2**53:
        raise ArgumentTypeError(f"{text!r} is out of range")
    return micro


def memo_argument(text: str) -> str:
    """Return the text if it fits into a transfer's memo."""
    if len(text) > MAX_MEMO:
        raise ArgumentTypeError(f"a memo has {MAX_MEMO} characters at most")
    if not is_storable(text):
        raise ArgumentTypeError("it has characters that can't be stored")
    return text


def team_name_argument(text: str) -> str:
    """Return the text without blanks around it if a team can be called that."""
    name, most = text.strip(), Team._meta.get_field("name").max_length or 0
    if not 0 < len(name) <= most or not is_storable(name):
        raise ArgumentTypeError(f"a team's name has 1 to {most} characters")
    return name


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a type of arguments that are whole numbers within these bounds."""

    def parse(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not is_number or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def find_team(slug: str) -> Team:
    """Return the team with this slug; raise CommandError if there is none."""
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        raise CommandError(f"No team has the slug {slug!r}.")
    return team


def find_user(email: str) -> User:
    """Return the active user with this address; raise CommandError if there is none."""
    user = User.objects.filter(email=normalize_address(email), is_active=True).first()
    if user is None:
        raise CommandError(f"Nobody with the address {email} may log in.")
    return user


def balances_in_credits(balances: Balances) -> dict[str, str]:
    """Return the balances as a command prints them: ``{"available": "12.5", ...}``."""
    return {kind: str(to_credits(micro)) for kind, micro in asdict(balances).items()}
