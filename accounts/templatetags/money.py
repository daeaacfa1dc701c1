"""Show credits and allowances on a page, in the reader's notation."""

from dataclasses import dataclass

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from accounts.credits import statement
from accounts.ledger import allowances, money
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import Standing
from accounts.models import Allowance, Team, User

register = template.Library()

LOW_MICROCREDITS = 10 * money.MICROCREDITS
"""Below it, pages say where credits come from."""
FULL = 100
MINUS = "\u2212"

Period = Allowance.Period
AT_PRESENT = {Period.DAY: _("today"), Period.WEEK: _("this week"), Period.MONTH: _("this month")}


@register.filter
def credits(microcredits: int | None) -> str:
    """Return ``1.25`` for 1250003 micro-credits, and a dash for no amount."""
    return "–" if microcredits is None else money.display(microcredits)


@register.filter
def exact(microcredits: int | None) -> str:
    """Return the same amount in full, for a tooltip."""
    return "" if microcredits is None else money.exact(microcredits)


@register.filter
def signed_exact(microcredits: int) -> str:
    """Return the amount in full with its sign: ``+1.250003`` or ``−1.250003``."""
    return f"{'+' if microcredits > 0 else MINUS}{money.exact(abs(microcredits))}"


@register.filter
def number(count: int) -> str:
    """Return a whole number in the reader's notation: ``25,674``."""
    return number_format(count, force_grouping=True)


@register.filter
def for_plural(microcredits: int) -> int:
    """Return the count that chooses between *credit* and *credits*, for ``blocktranslate count``."""
    return money.for_plural(microcredits)


@register.simple_tag
def balances(team: Team) -> ledger.Balances:
    """Return the team's present balances."""
    return ledger.balances(team)


@register.simple_tag
def limit_of(user: User, team: Team) -> Standing | None:
    """Return the standing of the reader's own allowance, if they have one."""
    return next(iter(allowances.spender_standings(team, user)), None)


@register.filter
def tone_of_limit(standing: Standing) -> str:
    """Return the colour of an allowance: a warning before it is used up."""
    if not standing.left:
        return "fail"
    return "doubt" if standing.warns else ""


@register.filter
def at_present(period: str) -> str:
    return str(AT_PRESENT[Period(period)])


@register.filter
def is_low(balances: ledger.Balances) -> bool:
    """Return True if little is available, so that pages say where credits come from."""
    return balances.available < LOW_MICROCREDITS


@dataclass(frozen=True)
class Level:
    """The bar beside the balance, in percent of its length. until_held: the end of the part that is held."""

    left: int
    until_held: int
    tone: str


@register.simple_tag
def level_of(team: Team, balances: ledger.Balances, limit: Standing | None) -> Level:
    """Return what is left: of the reader's allowance if they have one, else of the team's newest grant."""
    if limit:
        return Level(FULL - limit.percent, FULL - limit.percent, tone_of_limit(limit))
    in_hand = balances.available + balances.held
    full = max(statement.last_grant(team), in_hand, 1)
    tone = "doubt" if is_low(balances) else ""
    # Rounded up, so that a little is still seen.
    return Level(-(-balances.available * FULL // full), -(-in_hand * FULL // full), tone)


@register.filter
def signed(microcredits: int) -> str:
    """Return ``+1.25`` or ``−1.25``, and a dash for no change."""
    if not microcredits:
        return "–"
    return f"{'+' if microcredits > 0 else MINUS}{money.display(abs(microcredits))}"
