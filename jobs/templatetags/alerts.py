"""Show the warnings that concern a page's reader."""

from django import template
from django.http import HttpRequest

from accounts.models import Team
from jobs.events import alert_notes
from jobs.events.alert_notes import Note
from jobs.models import Ramp
from jobs.queue import stopping

register = template.Library()


@register.simple_tag
def alert_notes_of(request: HttpRequest | None, team: Team | None) -> list[Note]:
    """Return the warnings for the reader of this page."""
    return alert_notes.notes(request, team if isinstance(team, Team) else None) if request else []


@register.simple_tag
def calls_stopped(request: HttpRequest | None) -> Ramp | None:
    """Return since when and why no calls are made, for a reader who is signed in; None if they are made."""
    user = getattr(request, "user", None)  # an error page may come before it is known
    return stopping.stopped() if user is not None and user.is_authenticated else None
