"""Read a filter from the query of an address."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext_lazy as _

from jobs.models import Job
from jobs.models.verdicts import Verdict
from jobs.search.days_form import DaysForm
from jobs.search.filters import JobFilter
from jobs.search.pagination import MAX_KEY

TYPED = ("name", "since", "until")


class FreeTestField(forms.ChoiceField):
    """Take ``yes`` for free tests and ``no`` for all others; None for both."""

    def __init__(self) -> None:
        super().__init__(choices=[("yes", _("tests only")), ("no", _("without tests"))], required=False)

    def clean(self, value: Any) -> bool | None:
        return {"yes": True, "no": False}.get(super().clean(value))


class FilterForm(DaysForm):
    """Filters of the history. Every field may be empty, and then filters nothing."""

    name = forms.CharField(label=_("Name"), max_length=255, required=False)
    state = forms.ChoiceField(label=_("State"), choices=Job.State, required=False)
    verdict = forms.ChoiceField(label=_("Verdict"), choices=Verdict, required=False)
    origin = forms.ChoiceField(label=_("Source"), choices=Job.Origin, required=False)
    test = FreeTestField()
    person = forms.IntegerField(min_value=1, max_value=MAX_KEY, required=False)
    key = forms.CharField(max_length=15, required=False)
    batch = forms.UUIDField(required=False)

    field_order = ("name", "since", "until")

    def to_filter(self) -> JobFilter:
        given = self.cleaned_data
        return JobFilter(
            state=given["state"] or None,
            origin=given["origin"] or None,
            key=given["key"] or None,
            name=given["name"] or None,
            span=self.span,
            person=given["person"],
            test=given["test"],
            verdict=Verdict(given["verdict"]) if given["verdict"] else None,
            batch=given["batch"],
        )

    def kept(self) -> Iterator[tuple[str, str]]:
        """Yield the values that aren't typed but chosen by a link, so that a new search keeps them."""
        for name in self.fields:
            if name not in TYPED and (value := self.data.get(name)):
                yield name, value

    def query(self, **changes: str | None) -> str:
        """Return the filter as a query, with some of its fields changed, or left out if None."""
        given = {name: self.data.get(name) for name in self.fields} | changes
        return urlencode({name: value for name, value in given.items() if value})
