"""Show beside an API key what went wrong with its calls, on pages that know nothing of jobs."""

from django import template

from accounts.models import ApiKey
from jobs.audit import key_problems

register = template.Library()


@register.inclusion_tag("jobs/_key_problems.html")
def problems_of(key: ApiKey) -> dict[str, object]:
    """Show the errors and the ignored parameters of the key's newest calls, if there are any."""
    return {"problems": key_problems.of_key(key)}
