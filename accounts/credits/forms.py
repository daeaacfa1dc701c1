"""Validate a grant, a request for credits, and the answer to one."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.credits.requests import Decision
from accounts.fields import CreditsField
from accounts.models.credit_requests import MAX_NOTE

MICROCREDIT = Decimal("0.000001")


class GrantForm(forms.Form):
    """Credits that staff give the team. The token makes it one grant, however often it is sent."""

    token = forms.UUIDField(widget=forms.HiddenInput)
    credits = CreditsField(label=gettext_lazy("Credits"), min_value=MICROCREDIT)
    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=MAX_NOTE,
        help_text=gettext_lazy("The team reads it in its statement."),
    )

    @classmethod
    def blank(cls, credits: str = "") -> "GrantForm":
        """Return a form to be sent once, with the amount that a batch lacks, if it is known."""
        return cls(initial={"token": uuid4(), "credits": credits})


class AskForm(forms.Form):
    """A member's request for credits, perhaps so that the rest of a batch can start."""

    credits = CreditsField(label=gettext_lazy("Credits"), min_value=MICROCREDIT)
    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=MAX_NOTE,
        help_text=gettext_lazy("What they are for. You can leave it empty."),
    )
    batch = forms.UUIDField(required=False, widget=forms.HiddenInput)


class DecideForm(forms.Form):
    """The answer to a request: any amount granted, within the team's pool or beyond, or a reason why not."""

    credits = CreditsField(label=gettext_lazy("Credits"), required=False, min_value=MICROCREDIT)
    answer = forms.CharField(
        label=gettext_lazy("Answer"),
        required=False,
        max_length=MAX_NOTE,
        help_text=gettext_lazy("Needed if you decline; the person who asked reads it."),
    )

    def __init__(self, *args: Any, declines: bool = False, from_pool: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.declines = declines
        self.from_pool = from_pool

    def clean(self) -> None:
        """Ask for an amount if credits are granted, and for a reason if not."""
        super().clean()
        if self.declines:
            if not self.cleaned_data.get("answer"):
                self.add_error("answer", _("Say why; the person who asked reads it."))
        elif not self.cleaned_data.get("credits") and not self.has_error("credits"):
            self.add_error("credits", _("Say how many credits to grant."))

    @property
    def made(self) -> Decision:
        answer = self.cleaned_data["answer"]
        if self.declines:
            return Decision(0, answer)
        return Decision(self.cleaned_data["credits"], answer, from_pool=self.from_pool)
