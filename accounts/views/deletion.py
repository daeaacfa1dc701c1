"""Delete one's own account, after a page that says what goes and what stays."""

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.teams import deletion, membership
from accounts.teams.membership import RefusedError


@reauthentication_required  # type: ignore[untyped-decorator]
@require_http_methods(["GET", "HEAD", "POST"])
def delete_account(request: HttpRequest) -> HttpResponse:
    user = User.objects.get(pk=str(request.user.pk))
    if request.method == "POST" and tried(request, user, user):
        logout(request)
        messages.success(request, _("Your account was deleted."))
        return redirect("account_login")
    return render(request, "account/delete.html", preview(user))


def preview(user: User) -> dict[str, object]:
    """Return what a page says before the account is deleted."""
    memberships = list(user.memberships.select_related("team", "user").order_by("team__name"))
    return {
        "alone": deletion.owned_alone(user),
        "teams": [member.team for member in memberships],
        "keys": sum(membership.preview_removal(member).keys for member in memberships),
    }


def tried(request: HttpRequest, user: User, by: User) -> bool:
    """Delete the account; if that isn't possible, say so and return False."""
    try:
        deletion.delete_person(user, by)
    except RefusedError:
        messages.error(request, _("This account still owns a team alone. Nothing was deleted."))
        return False
    return True
