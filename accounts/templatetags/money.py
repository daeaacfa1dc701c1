"""Credits on a page: trimmed to what matters, in the reader's notation."""

from django import template

from accounts import ledger
from accounts.models import Team
from accounts.money import display

register = template.Library()


@register.filter
def credits(microcredits: int | None) -> str:  # noqa: A001 - the word on the page
    """``1.25`` of 1250000 micro-credits; a dash where there is no amount."""
    return "–" if microcredits is None else display(microcredits)


@register.simple_tag
def balances(team: Team) -> ledger.Balances:
    """The team's four figures, as of now."""
    return ledger.balances(team)
