"""Let a member report a finished result as bad."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.audit_log import ReasonError
from accounts.models import Role
from accounts.teams.permissions import enter
from jobs.audit import bad_results
from jobs.models import Job


@require_POST
def report_result(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    member = enter(request, team, Role.MEMBER)
    job = get_object_or_404(Job, team=member.team, pk=pk)
    try:
        bad_results.report(job, member.user, request.POST.get("note", ""))
    except ReasonError:
        messages.error(request, _("Say in at most 400 characters what is wrong. Nothing was reported."))
    except bad_results.NoResultError:
        messages.error(request, _("This picture has no result yet, so there is nothing to report."))
    except bad_results.AlreadyReportedError:
        messages.info(request, _("This result is reported already. Nobody has answered yet."))
    else:
        messages.success(request, _("Reported. You find the answer on this page."))
    return redirect("job", team=team, pk=pk)
