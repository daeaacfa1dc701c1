"""Forms for presets and recipes, and for what a batch becomes."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Team
from jobs.models import Preset, Recipe
from jobs.renditions.apply import Output
from jobs.renditions.style import Style, StyleError
from jobs.renditions.style_form import StyleForm


class PresetForm(StyleForm):
    """A team's preset. locked: only managers are asked."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    locked = forms.BooleanField(
        label=gettext_lazy("Locked"),
        help_text=gettext_lazy("Only managers may change or delete it."),
        required=False,
    )

    def __init__(self, team: Team, data: Any, *, preset: Preset, style: Style, may_lock: bool) -> None:
        super().__init__(team, data, style=style, more={"name": preset.name, "locked": preset.locked})
        self.instance = preset
        self.team = team
        if not may_lock:
            del self.fields["locked"]

    def clean_name(self) -> str:
        return _unused_name(Preset, self.team, self.instance, self.cleaned_data["name"])


class RecipeForm(forms.Form):
    """A team's recipe."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    presets = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Presets"),
        queryset=Preset.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose at least one preset.")},
        help_text=gettext_lazy("Each picture becomes a file for each of these."),
    )
    locked = forms.BooleanField(
        label=gettext_lazy("Locked"),
        help_text=gettext_lazy("Only managers may change or delete it."),
        required=False,
    )

    def __init__(self, team: Team, data: Any, *, recipe: Recipe, may_lock: bool) -> None:
        initial: dict[str, Any] = {"name": recipe.name, "locked": recipe.locked}
        if recipe.pk:
            initial["presets"] = [preset.pk for preset in recipe.presets.all()]
        super().__init__(data, initial=initial)
        self.instance = recipe
        self.team = team
        field = self.fields["presets"]
        assert isinstance(field, forms.ModelMultipleChoiceField)  # noqa: S101 - tells mypy
        field.queryset = Preset.objects.filter(team=team)
        if not may_lock:
            del self.fields["locked"]

    def clean_name(self) -> str:
        return _unused_name(Recipe, self.team, self.instance, self.cleaned_data["name"])


class OutputsForm(forms.Form):
    """The choice for a batch: a preset, a recipe, a style as JSON, or a style's own fields."""

    preset = forms.ModelChoiceField(Preset.objects.none(), required=False)
    recipe = forms.ModelChoiceField(Recipe.objects.none(), required=False)
    style = forms.CharField(max_length=2000, required=False)

    def __init__(self, team: Team, data: Any) -> None:
        super().__init__(data)
        self.team = team
        for name, model in (("preset", Preset), ("recipe", Recipe)):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - tells mypy
            field.queryset = model._default_manager.filter(team=team)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not self.errors:
            try:
                values["outputs"] = self._outputs(values)
            except StyleError as error:
                self.add_error(None, error.message)
        return values

    @property
    def outputs(self) -> list[Output]:
        """Return what the valid form says."""
        outputs: list[Output] = self.cleaned_data["outputs"]
        return outputs

    @property
    def problem(self) -> str:
        """Return what is wrong with the form, as one text."""
        return " ".join(str(message) for messages in self.errors.values() for message in messages)

    def _outputs(self, values: Mapping[str, Any]) -> list[Output]:
        if values["preset"]:
            return [Output.of(values["preset"])]
        if values["recipe"]:
            return [Output.of(preset) for preset in values["recipe"].presets.all()]
        if values["style"]:
            return [Output("", Style.from_json(values["style"]))]
        form = StyleForm(self.team, self.data)
        if not form.is_valid():
            raise StyleError(" ".join(str(text) for texts in form.errors.values() for text in texts))
        return [Output("", form.style)]


def _unused_name(model: type[Preset] | type[Recipe], team: Team, instance: Preset | Recipe, name: str) -> str:
    """Return the name; raise ValidationError if another one of the team has it."""
    others = model._default_manager.filter(team=team, name=name).exclude(pk=instance.pk)
    if others.exists():
        raise forms.ValidationError(_("The team has one of this name already."))
    return name
