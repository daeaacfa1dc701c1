"""Changing what somebody is in the team, taking them out, going oneself, handing over."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Membership, Role
from accounts.teams import membership
from accounts.teams.forms import RoleForm
from accounts.teams.membership import LastOwnerError, RefusedError, Taken
from accounts.teams.permissions import enter


@require_POST
def change_role(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    owner = enter(request, team, Role.OWNER)
    other = of_team(owner, pk)
    form = RoleForm(Role, request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a role."))
        return redirect("team", team=team)
    role: Role = form.cleaned_data["role"]
    try:
        membership.change_role(other, role)
    except RefusedError as error:
        messages.error(request, _why(error))
    else:
        said = {"who": other.user, "role": role.label, "before": other.get_role_display()}
        messages.success(request, _("%(who)s is now %(role)s (was %(before)s).") % said)
    return redirect("team", team=team)


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Says first what goes with them."""
    owner = enter(request, team, Role.OWNER)
    other = of_team(owner, pk)
    if other.pk == owner.pk:
        return redirect("leave_team", team=team)
    if request.method != "POST":
        return _leaving(request, "accounts/remove.html", other)
    try:
        taken = membership.remove(other, owner.user)
    except RefusedError as error:
        messages.error(request, _why(error))
    else:
        said = _("%(who)s was removed from the team.") % {"who": other.user}
        messages.success(request, f"{said} {_revoked(taken)}")
    return redirect("team", team=team)


@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest, team: str) -> HttpResponse:
    """Says first what goes, too."""
    member = enter(request, team)
    if request.method != "POST":
        return _leaving(request, "accounts/leave.html", member)
    try:
        taken = membership.leave(member)
    except RefusedError as error:
        messages.error(request, _why(error))
        return redirect("team", team=team)
    said = _("You have left the team %(team)s.") % {"team": member.team}
    messages.success(request, f"{said} {_revoked(taken)}")
    return redirect("home")


@require_http_methods(["GET", "HEAD", "POST"])
def hand_over(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    owner = enter(request, team, Role.OWNER)
    heir = of_team(owner, pk)
    if heir.pk == owner.pk:
        return redirect("team", team=team)
    if request.method != "POST":
        return _confirm(request, "accounts/hand_over.html", heir, after=membership.handing_over(owner, heir))
    try:
        membership.hand_over(owner, heir)
    except RefusedError as error:
        messages.error(request, _why(error))
    else:
        said = _("%(who)s now owns the team. You are a manager.")
        messages.success(request, said % {"who": heir.user})
    return redirect("team", team=team)


def of_team(reader: Membership, pk: int) -> Membership:
    """Another member of the reader's team."""
    return get_object_or_404(Membership.objects.select_related("team", "user"), team=reader.team, pk=pk)


def _leaving(request: HttpRequest, template: str, member: Membership) -> HttpResponse:
    taken, is_last_owner = membership.takes_along(member), membership.is_last_owner(member)
    return _confirm(request, template, member, taken=taken, is_last_owner=is_last_owner)


def _confirm(request: HttpRequest, template: str, member: Membership, **effect: object) -> HttpResponse:
    return render(request, template, {"team": member.team, "member": member} | effect)


def _why(error: RefusedError) -> str:
    if isinstance(error, LastOwnerError):
        return _("A team needs an owner who can sign in. Make someone else an owner first.")
    return _("Someone else changed this a moment ago. Check the team again, then decide.")


def _revoked(taken: Taken) -> str:
    """What went along, in numbers."""
    keys = ngettext("%(count)d API key was revoked.", "%(count)d API keys were revoked.", taken.keys)
    said = keys % {"count": taken.keys}
    if not taken.invitations:
        return said
    sent = ngettext(
        "%(count)d invitation was revoked.", "%(count)d invitations were revoked.", taken.invitations
    )
    return f"{said} {sent % {'count': taken.invitations}}"
