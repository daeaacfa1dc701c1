"""One picture: judge it, take it away, see what it cost and why."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.ledger.operations import AllowanceUsedUpError, LedgerError
from accounts.models import Membership, Role
from accounts.teams.permissions import enter
from jobs.audit.reconcile import booked, verdict
from jobs.intake.submit import NotFailedError, submit_again
from jobs.models import Job
from jobs.views import hold_errors, polling


@require_GET
def job(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    member = enter(request, team)
    shown = _shown(member, pk)
    if request.headers.get("HX-Request"):
        return polling.fragment(request, "jobs/_picture.html", shown)
    return render(request, "jobs/job.html", shown)


@require_POST
def again(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Try a failed job once more, with a hold of its own. Where an allowance doesn't reach it says so."""
    member = enter(request, team, Role.MEMBER)
    found = get_object_or_404(Job, team=member.team, pk=pk)
    try:
        submit_again(found, member.user)
    except NotFailedError:
        messages.info(request, _("This picture is under way or done already."))
    except AllowanceUsedUpError as error:
        messages.error(request, hold_errors.message_for(error))
        return render(request, "jobs/job.html", _shown(member, pk), status=hold_errors.PAYMENT_REQUIRED)
    except LedgerError:
        messages.error(request, _("There aren't enough credits to try again."))
    return redirect("job", team=team, pk=pk)


def _shown(member: Membership, pk: int) -> dict[str, object]:
    jobs = Job.objects.with_books().select_related("created_by", "api_key", "team")
    found = get_object_or_404(jobs, team=member.team, pk=pk)
    attempts = [(a, booked(a), verdict(a)) for a in sorted(found.attempts.all(), key=lambda a: a.number)]
    shown = polling.context([found], reverse("job", args=[member.team.slug, pk]))
    before = Job.objects.before(found).count() if found.state == Job.State.QUEUED else 0
    may_spend = member.role >= Role.MEMBER
    return shown | {
        "team": member.team,
        "row": shown["rows"][0],
        "seen": f"{shown['seen']}-{before}",  # others' turns change this page too
        "attempts": attempts,
        "before": before,
        "may_spend": may_spend,
    }
