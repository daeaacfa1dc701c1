"""Show one picture with its result, what it cost and why; retry a failed one."""

from collections.abc import Mapping

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
from jobs.retention import permissions
from jobs.views import hold_errors, polling
from jobs.views.styles import style_panel

REPORTS_SHOWN = 5
NO_QUERY: Mapping[str, str] = {}


@require_GET
def job(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    member = enter(request, team)
    context = _context(member, pk, request.GET)
    if request.headers.get("HX-Request"):
        return polling.fragment(request, "jobs/_picture.html", context)
    return render(request, "jobs/job.html", context)


@require_POST
def again(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Retry a failed job, with a hold of its own; an exceeded allowance is explained."""
    member = enter(request, team, Role.MEMBER)
    job = get_object_or_404(Job, team=member.team, pk=pk)
    try:
        submit_again(job, member.user)
    except NotFailedError:
        messages.info(request, _("This picture is already in progress or done."))
    except AllowanceUsedUpError as error:
        messages.error(request, hold_errors.message_for(error))
        return render(request, "jobs/job.html", _context(member, pk), status=hold_errors.PAYMENT_REQUIRED)
    except LedgerError:
        messages.error(request, _("There aren't enough credits to retry."))
    return redirect("job", team=team, pk=pk)


def _context(member: Membership, pk: int, query: Mapping[str, str] = NO_QUERY) -> dict[str, object]:
    jobs = Job.objects.with_books().select_related("created_by", "api_key", "team")
    job = get_object_or_404(jobs, team=member.team, pk=pk)
    attempts = [(a, booked(a), verdict(a)) for a in sorted(job.attempts.all(), key=lambda a: a.number)]
    polled = polling.context([job], reverse("job", args=[member.team.slug, pk]))
    before = Job.objects.before(job).count() if job.state == Job.State.QUEUED else 0
    may_spend = member.role >= Role.MEMBER
    reports = list(job.reports.select_related("reported_by", "answered_by").order_by("-pk")[:REPORTS_SHOWN])
    return polled | {
        "team": member.team,
        "row": polled["rows"][0],
        "seen": f"{polled['seen']}-{before}",  # the place in the queue is on this page too
        "attempts": attempts,
        "before": before,
        "may_spend": may_spend,
        "style": style_panel.panel(member, query) if job.state == Job.State.DONE and job.has_result else None,
        "may_erase": job.erased_at is None and permissions.may_erase(member, job.created_by_id),
        "reports": reports,
        "has_open_report": any(report.answered_at is None for report in reports),
    }
