"""Change roles, remove members, leave a team, transfer its ownership."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Membership, Role
from accounts.teams import membership
from accounts.teams.forms import RoleForm
from accounts.teams.membership import LastOwnerError, RefusedError, Revoked
from accounts.teams.permissions import enter


@require_POST
def change_role(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    owner = enter(request, team, Role.OWNER)
    other = get_member(owner, pk)
    form = RoleForm(Role, request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a role."))
        return redirect("team", team=team)
    role: Role = form.cleaned_data["role"]
    try:
        membership.change_role(other, role)
    except RefusedError as error:
        messages.error(request, _reason(error))
    else:
        names = {"who": other.user, "role": role.label, "before": other.get_role_display()}
        messages.success(request, _("%(who)s is now %(role)s (was %(before)s).") % names)
    return redirect("team", team=team)


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Remove a member, after a page that lists what is revoked with them."""
    owner = enter(request, team, Role.OWNER)
    other = get_member(owner, pk)
    if other.pk == owner.pk:
        return redirect("leave_team", team=team)
    if request.method != "POST":
        return _confirm_removal(request, "accounts/remove.html", other)
    try:
        revoked = membership.remove(other, owner.user)
    except RefusedError as error:
        messages.error(request, _reason(error))
    else:
        text = _("%(who)s was removed from the team.") % {"who": other.user}
        messages.success(request, f"{text} {_revoked_text(revoked)}")
    return redirect("team", team=team)


@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest, team: str) -> HttpResponse:
    """Leave the team, after a page that lists what is revoked."""
    member = enter(request, team)
    if request.method != "POST":
        return _confirm_removal(request, "accounts/leave.html", member)
    try:
        revoked = membership.leave(member)
    except RefusedError as error:
        messages.error(request, _reason(error))
        return redirect("team", team=team)
    text = _("You have left the team %(team)s.") % {"team": member.team}
    messages.success(request, f"{text} {_revoked_text(revoked)}")
    return redirect("home")


@require_http_methods(["GET", "HEAD", "POST"])
def transfer_ownership(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    owner = enter(request, team, Role.OWNER)
    heir = get_member(owner, pk)
    if heir.pk == owner.pk:
        return redirect("team", team=team)
    if request.method != "POST":
        return _confirm(
            request, "accounts/transfer_ownership.html", heir, after=membership.preview_transfer(owner, heir)
        )
    try:
        membership.transfer_ownership(owner, heir)
    except RefusedError as error:
        messages.error(request, _reason(error))
    else:
        text = _("%(who)s now owns the team. You are a manager.")
        messages.success(request, text % {"who": heir.user})
    return redirect("team", team=team)


def get_member(reader: Membership, pk: int) -> Membership:
    """Return a member of the reader's team, or raise Http404."""
    return get_object_or_404(Membership.objects.select_related("team", "user"), team=reader.team, pk=pk)


def _confirm_removal(request: HttpRequest, template: str, member: Membership) -> HttpResponse:
    revoked, is_last_owner = membership.preview_removal(member), membership.is_last_owner(member)
    return _confirm(request, template, member, revoked=revoked, is_last_owner=is_last_owner)


def _confirm(request: HttpRequest, template: str, member: Membership, **effect: object) -> HttpResponse:
    return render(request, template, {"team": member.team, "member": member} | effect)


def _reason(error: RefusedError) -> str:
    if isinstance(error, LastOwnerError):
        return _("A team needs an owner who can sign in. Make someone else an owner first.")
    return _("Someone else changed this a moment ago. Check the team again, then decide.")


def _revoked_text(revoked: Revoked) -> str:
    """Say in numbers what was revoked."""
    keys = ngettext("%(count)d API key was revoked.", "%(count)d API keys were revoked.", revoked.keys)
    text = keys % {"count": revoked.keys}
    if not revoked.invitations:
        return text
    sent = ngettext(
        "%(count)d invitation was revoked.", "%(count)d invitations were revoked.", revoked.invitations
    )
    return f"{text} {sent % {'count': revoked.invitations}}"
