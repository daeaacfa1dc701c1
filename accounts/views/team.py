"""Show the team's members and the forms beside them; rename the team."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.ledger import allowances
from accounts.ledger.allowances import Standing
from accounts.models import Membership, Role
from accounts.teams import create, membership
from accounts.teams.forms import InviteForm, RoleForm, TeamForm
from accounts.teams.permissions import enter, remember


@dataclass(frozen=True)
class Person:
    """A member as the reader may see them.

    ``standing`` is that of their allowance; if ``sees_limit``, None means they have none. ``role_form`` is
    set for a reader who may change the role.
    """

    member: Membership
    is_reader: bool
    sees_limit: bool
    standing: Standing | None
    may_limit: bool
    role_form: RoleForm | None


@require_GET
def team(request: HttpRequest, team: str) -> HttpResponse:
    member = enter(request, team)
    remember(request, member.team)
    return render(request, "accounts/team.html", page(member))


@require_POST
def rename(request: HttpRequest, team: str) -> HttpResponse:
    member = enter(request, team, Role.OWNER)
    form = TeamForm(request.POST)
    if not form.is_valid():
        return render(request, "accounts/team.html", page(member, rename_form=form))
    create.rename(member.team, form.cleaned_data["name"])
    messages.success(request, _("The team is now called %(name)s.") % form.cleaned_data)
    return redirect("team", team=team)


def may_limit(reader: Membership, role: int) -> bool:
    """Return True if the reader may limit people with this role, and their keys.

    An owner may limit anyone, a manager only those below: a limit that managers could lift themselves would
    be none.
    """
    return reader.role == Role.OWNER or role < reader.role == Role.MANAGER


def page(
    reader: Membership, invite_form: InviteForm | None = None, rename_form: TeamForm | None = None
) -> dict[str, object]:
    """Return the page's context, with the forms as submitted if they are invalid."""
    team, manages = reader.team, reader.role >= Role.MANAGER
    return {
        "team": team,
        "reader": reader,
        "manages": manages,
        "owns": reader.role == Role.OWNER,
        "is_last_owner": membership.is_last_owner(reader),
        "people": _people(reader),
        "invitations": team.invitations.select_related("invited_by").order_by("-pk") if manages else [],
        "invite_form": invite_form or InviteForm(team, reader.role),
        "rename_form": rename_form or TeamForm(initial={"name": team.name}),
        "now": timezone.now(),
    }


def _people(reader: Membership) -> list[Person]:
    members = reader.team.memberships.select_related("user").order_by("-role", "user__email")
    standings = allowances.member_standings(reader.team)
    return [_person(reader, member, standings.get(member.pk)) for member in members]


def _person(reader: Membership, member: Membership, standing: Standing | None) -> Person:
    is_reader = member.pk == reader.pk
    sees = is_reader or reader.role >= Role.MANAGER
    may_change = reader.role == Role.OWNER and not is_reader
    member.team = reader.team
    return Person(
        member=member,
        is_reader=is_reader,
        sees_limit=sees,
        standing=standing if sees else None,
        may_limit=may_limit(reader, member.role),
        role_form=_role_form(member) if may_change else None,
    )


def _role_form(member: Membership) -> RoleForm:
    return RoleForm(Role, initial={"role": member.role}, auto_id=f"{member.pk}-%s")
