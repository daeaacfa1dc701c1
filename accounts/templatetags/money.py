"""Show credits and allowances on a page, in the reader's notation."""

from django import template
from django.utils.translation import gettext_lazy as _

from accounts.ledger import allowances, money
from accounts.ledger import operations as ledger
from accounts.ledger.allowances import Standing
from accounts.models import Allowance, Team, User

register = template.Library()

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
