"""The admin's page on which a person decides what attempts were charged, and says why."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.fields import CreditsField
from jobs.audit.review import MAX_REASON, NotBookedError
from jobs.calls.attempts import WrongStateError
from jobs.models import Attempt

MAX_ATTEMPTS = 200  # Django accepts a thousand fields in a form


class AcknowledgeForm(forms.Form):
    explains = "The reason is stored with each attempt, with you as the reviewer."

    reason = forms.CharField(max_length=MAX_REASON, widget=forms.Textarea({"rows": 3}))


class DecideForm(AcknowledgeForm):
    """A charge to book for each attempt; ``charged`` is in micro-credits, 0 for none."""

    explains = (
        "The same charge is booked for each attempt, as new transfers with you as their author. "
        "This can't be undone, only corrected."
    )
    CHARGED, NOT_CHARGED = "charged", "not charged"

    decision = forms.ChoiceField(
        choices=[(CHARGED, "It was charged"), (NOT_CHARGED, "It wasn't charged")], widget=forms.RadioSelect
    )
    credits = CreditsField(label="Credits charged per attempt", min_value=Decimal("0.000001"), required=False)
    field_order = ("decision", "credits", "reason")

    def clean(self) -> None:
        super().clean()
        amount = self.cleaned_data.get("credits")
        match self.cleaned_data.get("decision"):
            case self.CHARGED if not amount and "credits" not in self.errors:
                self.add_error("credits", "Enter how much was charged.")
            case self.NOT_CHARGED if amount:
                self.add_error("credits", "Leave this empty if nothing was charged.")

    @property
    def charged(self) -> int:
        return self.cleaned_data["credits"] or 0


@dataclass(frozen=True)
class DecisionPage:
    """The page of one action on the list of attempts; ``book`` is called with each and the valid form."""

    admin: "ModelAdmin[Any]"
    request: HttpRequest
    action: str
    form: type[AcknowledgeForm]
    book: Callable[[Attempt, Any], None]

    def show(self, chosen: QuerySet[Attempt]) -> HttpResponse | None:
        """Return the page with the form; once it is valid, book it and return None for the list."""
        attempts = list(chosen.select_related("job__team", "hold")[: MAX_ATTEMPTS + 1])
        if not 0 < len(attempts) <= MAX_ATTEMPTS:
            problem = f"more than {MAX_ATTEMPTS} such attempts were" if attempts else "no such attempt was"
            self.admin.message_user(
                self.request, f"Nothing was changed: {problem} selected.", messages.WARNING
            )
            return None
        form = self.form(self.request.POST if "decided" in self.request.POST else None)
        if form.is_valid():
            done = [attempt for attempt in attempts if self._decide(attempt, form)]
            self.admin.message_user(self.request, f"Done: {', '.join(map(_name, done)) or 'nothing'}.")
            return None
        title = dict(self.admin.get_action_choices(self.request))[self.action]
        page = {"title": title, "action": self.action, "attempts": attempts, "form": form}
        context = self.admin.admin_site.each_context(self.request) | page | {"opts": self.admin.opts}
        return TemplateResponse(self.request, "admin/jobs/attempt/decide.html", context)

    def _decide(self, attempt: Attempt, form: AcknowledgeForm) -> bool:
        """Book one attempt by itself, so that a conflict on it doesn't hold up the others."""
        try:
            self.book(attempt, form)
        except WrongStateError:
            text = f"{_name(attempt)}: someone else was faster."
            self.admin.message_user(self.request, text, messages.WARNING)
            return False
        except NotBookedError as error:
            text = f"{_name(attempt)} couldn't be booked, and stays as it was: {error}"
            self.admin.message_user(self.request, text, messages.ERROR)
            return False
        return True


def _name(attempt: Attempt) -> str:
    return f"{attempt.job_id}/{attempt.number}"
