"""What a page of keys takes in."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Scope

MAX_NAME = 80
LAST_YEAR = 2999
"""Later days can't be reckoned with in every time zone (Python's calendar ends with the year 9999)."""


class KeyForm(forms.Form):
    """A new key. ``expires_on``: the last day on which it works, in the instance's time zone."""

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
        """The moment at which it stops to work."""
        last = self.cleaned_data["expires_on"]
        return timezone.make_aware(datetime.combine(last + timedelta(days=1), time.min)) if last else None
