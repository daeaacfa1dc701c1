"""Delete a picture or a batch, after a page that says what goes and what stays."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts.models import Membership, Role
from accounts.teams.permissions import enter
from jobs.models import Job
from jobs.models.job import JobQuerySet
from jobs.retention import erase, permissions
from jobs.views import scripts


@require_http_methods(["GET", "HEAD", "POST"])
def delete_job(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    member = enter(request, team, Role.MEMBER)
    job = get_object_or_404(Job, team=member.team, pk=pk)
    permissions.check_may_erase(member, job.created_by_id)
    if request.method == "POST":
        count = erase.erase(member.team, [pk], subject=f"job:{pk}", actor=member.user)
        _say(request, count, left=_left(Job.objects.filter(pk=pk)))
        return redirect("job", team=team, pk=pk)
    return _confirm(request, member, Job.objects.filter(pk=pk), job.name, job.get_absolute_url())


@require_http_methods(["GET", "HEAD", "POST"])
def delete_batch(request: HttpRequest, team: str, batch: UUID) -> HttpResponse:
    member = enter(request, team, Role.MEMBER)
    shown = scripts.batch_of(member, batch)
    permissions.check_may_erase(member, shown.created_by_id)
    if request.method == "POST":
        count = erase.erase_batch(shown, member.user)
        _say(request, count, left=_left(shown.jobs.all()))
        return redirect(shown)
    return _confirm(request, member, shown.jobs.all(), shown.name, shown.get_absolute_url())


def _confirm(
    request: HttpRequest, member: Membership, jobs: JobQuerySet, name: str, back: str
) -> HttpResponse:
    count = erase.erasable(jobs).count()
    left = _left(jobs) - count
    context = {"team": member.team, "name": name, "back": back, "count": count, "left": left}
    return render(request, "jobs/delete.html", context)


def _left(jobs: JobQuerySet) -> int:
    return jobs.filter(erased_at=None).count()


def _say(request: HttpRequest, count: int, left: int) -> None:
    if count:
        text = ngettext("%(count)s picture was deleted.", "%(count)s pictures were deleted.", count)
        messages.success(request, text % {"count": count})
    if left:
        text = ngettext(
            "%(count)s picture can't be deleted yet: it is waiting or being processed, its charge isn't "
            "settled, or someone has to answer a report of it. Cancel it, or try again later.",
            "%(count)s pictures can't be deleted yet: they are waiting or being processed, their charges "
            "aren't settled, or someone has to answer a report of them. Cancel them, or try again later.",
            left,
        )
        messages.error(request, text % {"count": left})
    elif not count:
        messages.info(request, _("Nothing was left to delete."))
