"""Credits on a page: trimmed to what matters, in the reader's notation."""

from django import template

from accounts import ledger, money
from accounts.models import Team

register = template.Library()


@register.filter
def credits(microcredits: int | None) -> str:  # noqa: A001 - the word on the page
    """``1.25`` of 1250003 micro-credits; a dash where there is no amount."""
    return "–" if microcredits is None else money.display(microcredits)


@register.filter
def exact(microcredits: int | None) -> str:
    """The same amount in full, for a title."""
    return "" if microcredits is None else money.exact(microcredits)


@register.simple_tag
def balances(team: Team) -> ledger.Balances:
    """The team's four figures, as of now."""
    return ledger.balances(team)
