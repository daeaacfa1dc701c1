"""List all people with their teams, allowances and recent spending."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.ledger import allowances
from accounts.ledger.allowances import Standing
from accounts.models import Membership, User
from accounts.models.people import normalize_address
from accounts.teams.permissions import staff_only
from accounts.views import deletion
from jobs.models import UsageDay
from pixian_web.staff import paging

MAX_SEARCH = 254
MAX_TEAMS = 5
SOME = "some_memberships"  # the attribute that the first of a person's memberships are prefetched to
RECENT = timedelta(days=30)


@dataclass(frozen=True)
class Place:
    """A person's place in a team. spent: booked there in the last 30 days, in micro-credits."""

    membership: Membership
    standing: Standing | None
    spent: int


@dataclass(frozen=True)
class Row:
    """A person, with their oldest memberships. has_more: they are in more teams than are listed."""

    person: User
    places: list[Place]
    has_more: bool


@staff_only
@require_safe
def staff_people(request: HttpRequest) -> HttpResponse:
    search = normalize_address(request.GET.get("q", ""))[:MAX_SEARCH]
    found = User.objects.filter(email__contains=search) if search else User.objects.all()
    some = Membership.objects.select_related("team").order_by("pk")[: MAX_TEAMS + 1]
    listed = found.prefetch_related(Prefetch("memberships", some, to_attr=SOME))
    page = paging.page(listed, "email", request.GET.get("after", ""))
    context = {"rows": _rows(page.rows), "after": page.after, "search": search}
    return render(request, "staff/people.html", context)


@staff_only
@require_http_methods(["GET", "HEAD", "POST"])
def staff_delete_person(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a person's account, after a page that says what goes and what stays."""
    person, staff = get_object_or_404(User, pk=pk), cast("User", request.user)
    if person.is_deleted:
        raise Http404
    if person.is_superuser and not staff.is_superuser:
        raise PermissionDenied(_("Only a superuser may delete another one."))
    if request.method == "POST" and deletion.tried(request, person, staff):
        messages.success(request, _("The account was deleted. It is shown as %(who)s now.") % {"who": person})
        return redirect("staff_people")
    return render(request, "staff/delete_person.html", {"person": person} | deletion.preview(person))


def _rows(people: list[User]) -> list[Row]:
    memberships = {person.pk: list[Membership](vars(person)[SOME]) for person in people}
    shown = [member for theirs in memberships.values() for member in theirs[:MAX_TEAMS]]
    standings, spent = allowances.standings_of(shown), _spent(shown)
    places: dict[int, list[Place]] = {person.pk: [] for person in people}
    for member in shown:
        spending = spent.get((member.user_id, member.team_id), 0)
        places[member.user_id].append(Place(member, standings.get(member.pk), spending))
    return [
        Row(person, places[person.pk], has_more=len(memberships[person.pk]) > MAX_TEAMS) for person in people
    ]


def _spent(memberships: Iterable[Membership]) -> dict[tuple[int, int], int]:
    """Return what was booked of late, in micro-credits, by user and team."""
    days = UsageDay.objects.filter(
        team__in={member.team_id for member in memberships},  # as the roll-up is indexed
        day__gte=timezone.localdate() - RECENT,
        spender__in={member.user_id for member in memberships},
    )
    sums = days.values_list("spender", "team").annotate(booked=Sum("booked")).order_by()
    return {(spender, team): int(booked) for spender, team, booked in sums}
