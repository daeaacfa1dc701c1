"""Validate what the page of keys sends."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.ledger.periods import midnight
from accounts.models import Scope

MAX_NAME = 80
LAST_YEAR = 2999  # well before Python's calendar ends, in any time zone


class KeyForm(forms.Form):
    """Describe a new key. ``expires_on``: the last day on which it works, in the instance's time zone."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=MAX_NAME,
        help_text=gettext_lazy("What it is for, such as the shop's upload. It stands beside each picture."),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("It may"),
        choices=Scope.choices,
        initial=list(Scope),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("A key that may do nothing is of no use.")},
    )
    expires_on = forms.DateField(
        label=gettext_lazy("Its last day"),
        required=False,
        widget=forms.DateInput({"type": "date"}),
        help_text=gettext_lazy("Leave it empty for a key that works until it is revoked."),
    )

    def clean_scopes(self) -> list[Scope]:
        return [Scope(name) for name in self.cleaned_data["scopes"]]

    def clean_expires_on(self) -> Any:
        last = self.cleaned_data["expires_on"]
        if last and last < timezone.localdate():
            raise forms.ValidationError(_("This day is over."))
        if last and last.year > LAST_YEAR:
            raise forms.ValidationError(_("Choose an earlier day, or leave the field empty."))
        return last

    @property
    def expires_at(self) -> datetime | None:
        """Return the moment at which the key stops working."""
        last = self.cleaned_data["expires_on"]
        return midnight(last + timedelta(days=1)) if last else None
