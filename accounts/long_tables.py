"""Keep Django's admin from reading, counting or sorting all of a table that grows with every picture."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.core.paginator import Paginator
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from accounts.models import Team

MAX_KEY_LENGTH = 19
MAX_COUNTED = 10_000
PER_PAGE = 50


def is_key(text: str) -> bool:
    """Tell if a text can be a primary key."""
    return text.isascii() and text.isdigit() and len(text) < MAX_KEY_LENGTH


def never(*_args: Any, **_kwargs: Any) -> bool:
    """Refuse a permission, as in ``has_add_permission = never``."""
    return False


class Window(admin.SimpleListFilter):
    """Bound the list to a range of primary keys: the newest rows, unless others are asked for.

    The list counts, sorts, filters and searches only within the window, so a table that has grown for years
    costs no more than a young one.
    """

    title = "rows"
    parameter_name = "upto"
    rows = MAX_COUNTED

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self._names_rows = model_admin.names_rows(request)
        self.last = model_admin.model._default_manager.aggregate(last=Max("pk"))["last"] or 0
        upto = self._upto()
        steps = {"Older": upto - self.rows, "Newer": upto + self.rows}
        return [
            (str(key), f"{name}, up to number {key:,}")
            for name, key in steps.items()
            if 0 < key < self.last + self.rows and self.last > self.rows
        ]

    def has_output(self) -> bool:
        return self.last > self.rows

    def choices(self, changelist: Any) -> Iterator[Any]:
        newest, *others = super().choices(changelist)
        here = self._upto()
        yield newest | {"display": "Newest"}
        if here < self.last:
            yield {"selected": True, "query_string": "", "display": f"Up to number {here:,}"}
        yield from others

    def queryset(self, _request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self._names_rows:
            return rows
        upto = self._upto()
        within = rows.filter(pk__gt=upto - self.rows)
        return within.filter(pk__lte=upto) if upto < self.last else within

    def _upto(self) -> int:
        asked = self.value() or ""
        return min(int(asked), self.last) if is_key(asked) else self.last


class ByTeam(admin.SimpleListFilter):
    """Filter by the team that the address names. Django's own filter would list every team there is."""

    title = "team"
    parameter_name = "team__id__exact"

    def lookups(self, request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        asked = request.GET.get(self.parameter_name, "")
        teams = Team.objects.filter(pk=int(asked)) if is_key(asked) else Team.objects.none()
        return [(asked, team.name) for team in teams]

    def has_output(self) -> bool:
        # Django applies no filter without output. Of a team that doesn't exist all rows would be read then,
        # because a list of a team's rows has no window.
        return self.value() is not None

    def queryset(self, _request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        if asked is None:
            return rows
        return rows.filter(team=int(asked)) if is_key(asked) else rows.none()


class BoundedPaginator(Paginator):
    """Count the rows no further than the admin's pages lead."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[:MAX_COUNTED].count())


class LongTableAdmin(admin.ModelAdmin):
    """List a table that grows with every picture; put ``Window`` among the filters.

    with_team: parameters that an index covers behind the team, in the order of keys. A list of a team's rows
    with nothing but these needs no window. None if there is no such index.
    """

    paginator = BoundedPaginator
    with_team: frozenset[str] | None = None
    list_per_page = PER_PAGE
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet would count the rows again

    def exactly(self, _text: str) -> Q | None:
        """Return the rows that a search names exactly and an index finds, or None for an ordinary search."""
        return None

    def names_rows(self, request: HttpRequest) -> bool:
        """Return True if the request searches for rows that an index finds, so that it needs no window."""
        if self.with_team is not None and ByTeam.parameter_name in request.GET:
            return request.GET.keys() - {ByTeam.parameter_name, PAGE_VAR} <= self.with_team
        return self.exactly(request.GET.get(SEARCH_VAR, "").strip()) is not None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        exact = self.exactly(search_term.strip())
        if exact is None:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(exact), False
