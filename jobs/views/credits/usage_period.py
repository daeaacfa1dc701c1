"""Read from a page's address which days of usage to show."""

from datetime import date, timedelta

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobs.search.date_range import FIRST_DAY, LAST_DAY
from jobs.search.days_form import DaysForm
from jobs.views.credits.usage_parts import Of

MAX_DAYS = 366
MONTH = "month"
CHOICES = [
    ("7", gettext_lazy("7 days")),
    ("30", gettext_lazy("30 days")),
    ("90", gettext_lazy("90 days")),
    (MONTH, gettext_lazy("This month")),
]
DEFAULT = "30"


class PeriodForm(DaysForm):
    """A usual period up to today, or the first and last day; without any of them, 30 days.

    first, last: the days to show, both included, once the form is valid. of: what they are broken down by.
    """

    period = forms.ChoiceField(choices=CHOICES, required=False)
    by = forms.TypedChoiceField(choices=Of, coerce=Of, required=False, empty_value=Of.PERSON)

    def clean(self) -> None:
        """Refuse more than 366 days, and such as no calendar has; as well as what ``DaysForm`` refuses."""
        super().clean()
        if self.errors:
            return
        self.of: Of = self.cleaned_data["by"]
        asked = self.cleaned_data["since"], self.cleaned_data["until"]
        self.chosen = "" if any(asked) else self.cleaned_data["period"] or DEFAULT
        self.first, self.last = _between(*asked) if any(asked) else _usual(self.chosen)
        self.check_order(self.first, self.last)
        if (self.last - self.first).days >= MAX_DAYS:
            text = _("These are more than %(days)s days. Choose fewer.") % {"days": MAX_DAYS}
            self.add_error("since", text)
        elif not (self.errors or FIRST_DAY <= self.first <= self.last <= LAST_DAY):
            self.add_error("since", _("There was no usage on these days. Choose others."))


def _between(since: date | None, until: date | None) -> tuple[date, date]:
    """Return both ends: today for the last, and 30 days for the first."""
    until = until or max(timezone.localdate(), since or FIRST_DAY)
    return since or max(until, FIRST_DAY + _days(DEFAULT)) - _days(DEFAULT), until


def _usual(period: str) -> tuple[date, date]:
    today = timezone.localdate()
    return today.replace(day=1) if period == MONTH else today - _days(period), today


def _days(period: str) -> timedelta:
    """Return the time between the first and the last of so many days."""
    return timedelta(days=int(period) - 1)
