"""The workspace: drop pictures, watch them, take the cut-outs away."""

from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.models import Membership, Role
from accounts.teams.permissions import enter, remember
from jobs.batches.recent import recent
from jobs.calls.attempts import estimate
from jobs.models import Job
from jobs.views import polling

BATCH_SHOWN = 200
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


@require_GET
def batch(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    """Show the batch's grid alone, for polling; 204 if nothing has changed."""
    member = enter(request, team)
    return polling.fragment(request, "jobs/_grid.html", {"team": member.team} | _grid(member, batch))


def _grid(member: Membership, batch: UUID) -> dict[str, object]:
    jobs = Job.objects.with_books().filter(team=member.team, batch=batch).order_by("-pk")[:BATCH_SHOWN]
    return polling.context(jobs, reverse("batch", args=[member.team.slug, batch]))
