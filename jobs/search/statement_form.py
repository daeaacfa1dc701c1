"""Read the filters of a team's statement from a page's address."""

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Team, Transfer, User
from jobs.models import Batch
from jobs.search.days_form import DaysForm
from jobs.search.pagination import MAX_KEY
from jobs.search.statement import StatementFilter

BATCHES_OFFERED = 20

Choices = list[tuple[Any, Any]]


class StatementForm(DaysForm):
    """Filters of a statement. before: the key of the last transfer of the page before.

    A person, key or batch that isn't offered is searched for nevertheless: whoever left the team is still in
    its statement. For another team's nothing is found, as for one that doesn't exist.
    """

    person = forms.IntegerField(
        label=gettext_lazy("Person"),
        required=False,
        min_value=1,
        max_value=MAX_KEY,
        widget=forms.Select,
    )
    key = forms.CharField(label=gettext_lazy("API key"), required=False, max_length=40, widget=forms.Select)
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), required=False)
    batch = forms.UUIDField(label=gettext_lazy("Batch"), required=False, widget=forms.Select)
    before = forms.IntegerField(required=False, min_value=1, max_value=MAX_KEY, widget=forms.HiddenInput)
    field_order = ("person", "key", "kind", "batch", "since", "until")

    def __init__(self, team: Team, *args: Any) -> None:
        super().__init__(*args)
        anything = ("", _("All"))
        kinds = [(kind.value, kind.label.capitalize()) for kind in Transfer.Kind]
        offered = {"person": _people(team), "key": _keys(team), "kind": kinds, "batch": _batches(team)}
        for name, choices in offered.items():
            self.fields[name].widget.choices = [anything, *choices]
        self.fields["kind"].choices = [anything, *kinds]  # type: ignore[attr-defined]

    @property
    def chosen(self) -> StatementFilter:
        values = self.cleaned_data
        return StatementFilter(
            person=values["person"],
            key=values["key"] or None,
            kind=values["kind"] or None,
            batch=values["batch"],
            span=self.span,
        )

    def offer(self, name: str, value: Any, label: str) -> None:
        """Add what the statement is filtered by to what can be chosen, if it isn't among that."""
        widget = self.fields[name].widget
        if str(value) not in {str(each) for each, _label in widget.choices}:
            widget.choices = [*widget.choices, (value, label)]

    def said(self) -> list[tuple[str, str]]:
        """Return each filter in words, with its name."""
        return [
            (str(field.label), _in_words(field.field.widget, self.cleaned_data[field.name]))
            for field in self.visible_fields()
            if self.cleaned_data[field.name]
        ]


def _in_words(widget: forms.Widget, value: Any) -> str:
    choices: Choices = getattr(widget, "choices", [])
    return str({str(each): label for each, label in choices}.get(str(value), value))


def _people(team: Team) -> Choices:
    theirs = Q(memberships__team=team) | Q(api_keys__team=team)
    people = User.objects.filter(theirs).order_by("email").distinct()
    return [(person.pk, str(person)) for person in people]


def _keys(team: Team) -> Choices:
    return list(team.api_keys.order_by("name", "pk").values_list("api_id", "name"))


def _batches(team: Team) -> Choices:
    recent = Batch.objects.filter(team=team).order_by("-created_at")
    return list(recent.values_list("pk", "name")[:BATCHES_OFFERED])
