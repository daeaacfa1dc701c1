"""Keep Django's admin from reading, counting or sorting all of a table that grows with every picture."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest


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
    rows = 20_000

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
        return min(int(asked), self.last) if asked.isascii() and asked.isdigit() else self.last


class LongTableAdmin(admin.ModelAdmin):
    """List a table that grows with every picture; put ``Window`` among the filters."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet would count the rows again

    def exactly(self, _text: str) -> Q | None:
        """Return the rows that a search names exactly and an index finds, or None for an ordinary search."""
        return None

    def names_rows(self, request: HttpRequest) -> bool:
        """Return True if the request searches for rows that an index finds, so that it needs no window."""
        return self.exactly(request.GET.get(SEARCH_VAR, "").strip()) is not None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        exact = self.exactly(search_term.strip())
        if exact is None:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(exact), False
