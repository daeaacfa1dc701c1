"""Create, limit and revoke a team's API keys."""

from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.api_keys import keys
from accounts.api_keys.forms import KeyForm
from accounts.credits import limits
from accounts.ledger import allowances
from accounts.ledger.allowances import Standing
from accounts.models import ApiKey, Membership, Role, Scope
from accounts.teams.permissions import enter
from accounts.views.limits import edit_allowance
from accounts.views.team import may_limit


@dataclass(frozen=True)
class KeyRow:
    """A key as the page shows it, with its permissions in words.

    may_limit: the reader may set its allowance.
    """

    key: ApiKey
    scopes: list[str]
    standing: Standing | None
    may_limit: bool


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def all_keys(request: HttpRequest, team: str) -> HttpResponse:
    """List the keys, and create one.

    The response to the form shows the new key's secret; for a redirect it would have to be stored.
    """
    member = enter(request, team, Role.MEMBER)
    form = KeyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        chosen = form.cleaned_data
        key, credentials = keys.create(
            member.team, member.user, chosen["name"], scopes=chosen["scopes"], expires_at=form.expires_at
        )
        return render(
            request,
            "accounts/key_created.html",
            {"team": member.team, "key": key, "credentials": credentials},
        )
    return render(request, "accounts/keys.html", _page(member, form))


@require_POST
def revoke(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Revoke one of the user's own keys or, as a manager, any of the team's."""
    member = enter(request, team, Role.MEMBER)
    key = _key(member, pk)
    if keys.revoke(key, member.user):
        messages.success(request, _("The key %(name)s is revoked. It no longer works.") % vars(key))
    return redirect("keys", team=team)


@require_http_methods(["GET", "HEAD", "POST"])
def allowance(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    key = _limited(enter(request, team, Role.MANAGER), pk)
    return edit_allowance(request, key, key.name, _standing(key), "accounts/key_allowance.html", "keys")


@require_POST
def lift(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    member = enter(request, team, Role.MANAGER)
    key = _limited(member, pk)
    limits.lift(key, member.user)
    messages.success(request, _("The key %(name)s no longer has an allowance of its own.") % vars(key))
    return redirect("keys", team=team)


def _key(member: Membership, pk: int) -> ApiKey:
    key: ApiKey = get_object_or_404(_visible(member), pk=pk)
    return key


def _visible(member: Membership) -> QuerySet[ApiKey]:
    return keys.visible_to(member.user, member.team, all_of_team=member.role >= Role.MANAGER)


def _limited(member: Membership, pk: int) -> ApiKey:
    """Return the key if the member may limit its owner; raise PermissionDenied otherwise."""
    key = _key(member, pk)
    if not _may_limit(member, key):
        raise PermissionDenied(
            _("Managers set allowances for the API keys of members and viewers. Ask an owner of the team.")
        )
    return key


def _may_limit(member: Membership, key: ApiKey) -> bool:
    return may_limit(member, key.owners_role or 0)  # None once the owner has left, and then it's revoked


def _page(member: Membership, form: KeyForm) -> dict[str, object]:
    rows = [
        KeyRow(
            key,
            [str(Scope(scope).label) for scope in key.scopes.split()],
            _standing(key),
            _may_limit(member, key),
        )
        for key in _visible(member)
    ]
    return {
        "team": member.team,
        "reader": member,
        "form": form,
        "usable": [row for row in rows if row.key.is_usable],
        "ended": [row for row in rows if not row.key.is_usable],
    }


def _standing(key: ApiKey) -> Standing | None:
    found = getattr(key, "allowance", None)
    return allowances.current_standing(found) if found else None
