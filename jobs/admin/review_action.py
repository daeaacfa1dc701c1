"""The admin's page on which a person decides about attempts: how much was charged, and why."""

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

MOST_AT_ONCE = 200  # Django takes a thousand fields in a form


class AcknowledgeForm(forms.Form):
    explains = "This is kept with each of these, with you as the one who looked."

    reason = forms.CharField(max_length=MAX_REASON, widget=forms.Textarea({"rows": 3}))


class DecideForm(AcknowledgeForm):
    """``charged``: micro-credits of each attempt, 0 for nothing."""

    explains = (
        "The same is booked for each of these, as new transfers with you as their author. "
        "It can't be undone, only corrected."
    )
    CHARGED, NOT_CHARGED = "charged", "not charged"

    decision = forms.ChoiceField(
        choices=[(CHARGED, "It was charged"), (NOT_CHARGED, "It wasn't charged")], widget=forms.RadioSelect
    )
    credits = CreditsField(label="Credits charged, for each", min_value=Decimal("0.000001"), required=False)
    field_order = ("decision", "credits", "reason")

    def clean(self) -> None:
        super().clean()
        given = self.cleaned_data.get("credits")
        match self.cleaned_data.get("decision"):
            case self.CHARGED if not given and "credits" not in self.errors:
                self.add_error("credits", "Say how much was charged.")
            case self.NOT_CHARGED if given:
                self.add_error("credits", "Leave this empty where nothing was charged.")

    @property
    def charged(self) -> int:
        return self.cleaned_data["credits"] or 0


@dataclass(frozen=True)
class Page:
    """Of one action of the admin's list. book: called with each attempt and the valid form."""

    admin: "ModelAdmin[Any]"
    request: HttpRequest
    action: str
    form: type[AcknowledgeForm]
    book: Callable[[Attempt, Any], None]

    def show(self, chosen: QuerySet[Attempt]) -> HttpResponse | None:
        """The page with the form; once that is valid, None for the list with what became of each."""
        attempts = list(chosen.select_related("job__team", "hold")[: MOST_AT_ONCE + 1])
        if not 0 < len(attempts) <= MOST_AT_ONCE:
            wrong = f"more than {MOST_AT_ONCE} such attempts were" if attempts else "no such attempt was"
            self.admin.message_user(self.request, f"Nothing was changed: {wrong} chosen.", messages.WARNING)
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
        """Each by itself, so that one that somebody else decided meanwhile doesn't keep up the others."""
        try:
            self.book(attempt, form)
        except WrongStateError:
            said = f"{_name(attempt)}: somebody else was faster."
            self.admin.message_user(self.request, said, messages.WARNING)
            return False
        except NotBookedError as error:
            said = f"{_name(attempt)} couldn't be booked, and stays as it was: {error}"
            self.admin.message_user(self.request, said, messages.ERROR)
            return False
        return True


def _name(attempt: Attempt) -> str:
    return f"{attempt.job_id}/{attempt.number}"
