"""Foretell on a page when a team's pool runs dry."""

from django import template

from accounts.ledger.operations import Balances
from accounts.models import Team
from jobs.audit import usage_forecast
from jobs.audit.usage_forecast import Forecast

register = template.Library()


@register.simple_tag
def forecast_of(team: Team, balances: Balances) -> Forecast | None:
    """Return the forecast for what the team has available now."""
    return usage_forecast.forecast(team, balances.available)
