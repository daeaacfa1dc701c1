"""Invite someone to the team, or revoke an invitation."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import Role
from accounts.rate_limits import TooFastError
from accounts.teams import invitations
from accounts.teams.forms import InviteForm
from accounts.teams.permissions import enter
from accounts.views.team import page


@never_cache
@require_POST
def invite(request: HttpRequest, team: str) -> HttpResponse:
    """Create an invitation and show its link.

    The response is the page itself, not a redirect, because the link is stored nowhere.
    """
    member = enter(request, team, Role.MANAGER)
    form = InviteForm(member.team, member.role, request.POST)
    if form.is_valid():
        data = form.cleaned_data
        try:
            sent = invitations.invite(member.team, data["email"], data["role"], member.user)
        except TooFastError as error:
            text = _("Too many invitations at once. You can invite again in %(seconds)s seconds.")
            form.add_error(None, text % {"seconds": error.retry_after})
        else:
            return render(request, "accounts/invited.html", {"team": member.team, "sent": sent})
    return render(request, "accounts/team.html", page(member, invite_form=form))


@require_POST
def revoke(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    member = enter(request, team, Role.MANAGER)
    invitation = member.team.invitations.filter(pk=pk).first()
    if invitation is None:
        messages.info(request, _("This invitation has already been used or revoked."))
    else:
        invitations.revoke(invitation)
        text = _(
            "The invitation for %(email)s is revoked: its link no longer works. You can invite them again."
        )
        messages.success(request, text % {"email": invitation.email})
    return redirect("team", team=team)
