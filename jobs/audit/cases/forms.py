"""Validate what a person enters about a case, or about several."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.fields import CreditsField
from accounts.models.audit import MAX_REASON
from jobs.audit.cases.actions import Action
from jobs.models import UpstreamAccount
from jobs.search.days_form import DaysForm

MICROCREDIT = Decimal("0.000001")


class DecisionForm(forms.Form):
    """One form for all of a case's buttons; the one that was pressed says what is needed.

    seen: what was known when the page was shown, so that nobody decides on less than is known by now.
    """

    credits = CreditsField(label=gettext_lazy("Credits"), required=False, min_value=MICROCREDIT)
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        required=False,
        max_length=MAX_REASON,
        widget=forms.Textarea({"rows": 2}),
    )
    seen = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args: Any, action: Action | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.action = action

    def clean(self) -> None:
        super().clean()
        if not self.action:
            return
        if self.action.asks_amount and not self.cleaned_data.get("credits") and "credits" not in self.errors:
            self.add_error("credits", _("Say how many credits."))
        if self.action.asks_reason and not self.cleaned_data.get("reason") and "reason" not in self.errors:
            self.add_error("reason", _("Say why; the team reads it."))

    @property
    def amount(self) -> int:
        asked: int = self.cleaned_data["credits"] or 0
        return asked if self.action and self.action.asks_amount else 0


class CallsForm(DaysForm):
    """Choose the calls in doubt of an upstream account, or sent on some days; if empty, all cases."""

    account = forms.ModelChoiceField(
        UpstreamAccount.objects.order_by("pk"),
        label=gettext_lazy("Upstream account"),
        required=False,
        empty_label=gettext_lazy("All"),
    )

    @property
    def calls(self) -> Q | None:
        """The condition on attempts; None if nothing is asked for, or if it makes no sense."""
        if not self.is_valid():
            return None
        account, span = self.cleaned_data.get("account"), self.span
        if not (account or span.since or span.until):
            return None
        return span.contains("sent_at") & (Q(account=account) if account else Q())


class BulkForm(forms.Form):
    """A reason for several decisions at once, and the calls as they were shown.

    The token makes it one decision, however often it is sent.
    """

    token = forms.UUIDField(widget=forms.HiddenInput)
    calls = forms.CharField(widget=forms.HiddenInput)
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=MAX_REASON, widget=forms.Textarea({"rows": 2})
    )


class CorrectionForm(forms.Form):
    """Credits that staff add or take away. The token makes it one correction, however often it is sent."""

    UP, DOWN = "up", "down"

    token = forms.UUIDField(widget=forms.HiddenInput)
    direction = forms.ChoiceField(
        label=gettext_lazy("Change"),
        choices=[(UP, gettext_lazy("Add credits")), (DOWN, gettext_lazy("Take credits away"))],
    )
    credits = CreditsField(label=gettext_lazy("Credits"), min_value=MICROCREDIT)
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_REASON,
        help_text=gettext_lazy("The team reads it in its statement."),
    )

    @classmethod
    def blank(cls) -> "CorrectionForm":
        return cls(initial={"token": uuid4()}, auto_id="correct-%s")

    @property
    def microcredits(self) -> int:
        amount: int = self.cleaned_data["credits"]
        return amount if self.cleaned_data["direction"] == self.UP else -amount
