"""The workspace: drop pictures, watch them, take the cut-outs away."""

from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.models import Role
from accounts.teams.permissions import enter, remember
from jobs.batches.recent import recent
from jobs.calls.attempts import estimate

MEGAPIXEL = 1_000_000


@require_GET
def workspace(request: HttpRequest, team: str) -> HttpResponse:
    """Show the drop area, and the team's recent batches."""
    member = enter(request, team)
    remember(request, member.team)
    context = {
        "team": member.team,
        "may_spend": member.role >= Role.MEMBER,
        "batch": uuid4(),  # for the form; so a form that is sent twice begins one batch
        "price": estimate(MEGAPIXEL),
        "recent": recent(member.team),
    }
    return render(request, "jobs/workspace.html", context)
