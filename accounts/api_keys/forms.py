"""Validate the form for a new API key."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.ledger.periods import midnight
from accounts.models import Scope

MAX_NAME = 80
LAST_YEAR = 2999
"""Dates near the year 9999, where Python's calendar ends, overflow in some time zones."""


class KeyForm(forms.Form):
    """A new key. ``expires_on`` is the last day it works, in the instance's time zone."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=MAX_NAME,
        help_text=gettext_lazy(
            "What the key is for, such as the shop's uploads. The name is shown with each picture."
        ),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Permissions"),
        choices=Scope.choices,
        initial=list(Scope),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose at least one permission.")},
    )
    expires_on = forms.DateField(
        label=gettext_lazy("Expires on"),
        required=False,
        widget=forms.DateInput({"type": "date"}),
        help_text=gettext_lazy(
            "The last day the key works. Leave empty for a key that works until it is revoked."
        ),
    )

    def clean_scopes(self) -> list[Scope]:
        return [Scope(name) for name in self.cleaned_data["scopes"]]

    def clean_expires_on(self) -> Any:
        last = self.cleaned_data["expires_on"]
        if last and last < timezone.localdate():
            raise forms.ValidationError(_("This date is in the past."))
        if last and last.year > LAST_YEAR:
            raise forms.ValidationError(_("Choose an earlier date, or leave the field empty."))
        return last

    @property
    def expires_at(self) -> datetime | None:
        """Return the midnight after the key's last day."""
        last = self.cleaned_data["expires_on"]
        return midnight(last + timedelta(days=1)) if last else None
