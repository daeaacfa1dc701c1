"""Read a range of days from a page's address."""

from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from jobs.search.date_range import DateRange

ISO = "%Y-%m-%d"


class DayField(forms.DateField):
    """A day as a browser's own calendar sends it, in whatever language; it may be empty."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateInput({"type": "date"}, format=ISO)
        super().__init__(input_formats=[ISO], required=False, widget=widget, **options)


class DaysForm(forms.Form):
    """A first and a last day, both included; either may be left open."""

    since = DayField(label=pgettext_lazy("a date", "From"))
    until = DayField(label=pgettext_lazy("a date", "To"))

    def clean(self) -> None:
        """Refuse days of which the last comes before the first."""
        super().clean()
        self.check_order(self.cleaned_data.get("since"), self.cleaned_data.get("until"))

    def check_order(self, since: date | None, until: date | None) -> None:
        if since and until and until < since:
            self.add_error("until", _("The last day comes before the first one. Change one of them."))

    @property
    def span(self) -> DateRange:
        return DateRange(self.cleaned_data["since"], self.cleaned_data["until"])
