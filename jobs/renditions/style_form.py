"""The form for a style, with and without scripts."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from accounts.models import Team
from jobs.models import Backdrop
from jobs.renditions.style import DEFAULTS, NAMES, PLAIN, Background, Format, Shadow, Style, StyleError
from jobs.renditions.style_fields import LABELS, STRENGTH
from pixian.protocol.limits import MAX_RESULT_PIXELS
from pixian.protocol.options import Alignment

BACKGROUNDS = {
    Background.NONE: pgettext_lazy("a background", "None"),
    Background.COLOR: gettext_lazy("Colour"),
    Background.PICTURE: gettext_lazy("Picture"),
    Background.BLUR: gettext_lazy("Blurred original"),
}
SHADOWS = {
    Shadow.NONE: pgettext_lazy("a shadow", "None"),
    Shadow.SOFT: pgettext_lazy("a shadow", "Soft"),
    Shadow.CONTACT: pgettext_lazy("a shadow", "Contact"),
}
ALIGNMENTS = {
    Alignment.TOP: gettext_lazy("Top"),
    Alignment.MIDDLE: gettext_lazy("Middle"),
    Alignment.BOTTOM: gettext_lazy("Bottom"),
}
FORMATS = {
    Format.PNG: "PNG",
    Format.JPEG: "JPEG",
    Format.WEBP: "WebP",
    Format.DELTA_PNG: gettext_lazy("Delta PNG"),
}
Choices = Mapping[Any, Any]


def _choice(label: Any, choices: Choices) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label, choices=[*choices.items()], widget=forms.RadioSelect, required=False
    )


def _percent(label: Any) -> forms.IntegerField:
    low, high = STRENGTH
    widget = forms.NumberInput({"type": "range", "min": low, "max": high})
    return forms.IntegerField(label=label, widget=widget, min_value=low, max_value=high, required=False)


def _pixels(label: Any) -> forms.IntegerField:
    widget = forms.NumberInput({"inputmode": "numeric"})
    return forms.IntegerField(
        label=label, widget=widget, min_value=1, max_value=MAX_RESULT_PIXELS, required=False
    )


class StyleForm(forms.Form):
    """A style, field by field. ``style`` is valid once the form is. backdrops: those of the team."""

    background = _choice(LABELS["background"], BACKGROUNDS)
    color = forms.CharField(label=LABELS["color"], widget=forms.TextInput({"type": "color"}), required=False)
    backdrop = forms.ChoiceField(label=LABELS["backdrop"], required=False)
    blur = _percent(LABELS["blur"])
    shadow = _choice(LABELS["shadow"], SHADOWS)
    strength = _percent(LABELS["strength"])
    crop = forms.BooleanField(label=LABELS["crop"], required=False)
    margin = forms.CharField(label=LABELS["margin"], max_length=80, required=False)
    width = _pixels(gettext_lazy("Width"))
    height = _pixels(gettext_lazy("Height"))
    alignment = _choice(LABELS["alignment"], ALIGNMENTS)
    format = _choice(LABELS["format"], FORMATS)
    quality = _percent(LABELS["quality"])

    style: Style = PLAIN

    def __init__(
        self,
        team: Team,
        data: Any = None,
        *,
        style: Style = PLAIN,
        more: Mapping[str, Any] | None = None,
        ids: str = "id",
    ) -> None:
        """Set up the form.

        style: what it begins with. more: first values of further fields. ids: the start of its elements' ids.
        """
        super().__init__(data, initial=values_of(style) | dict(more or {}), auto_id=f"{ids}_%s")
        backdrops = Backdrop.objects.filter(team=team).order_by("name", "pk")
        choices = [(backdrop.sha256, backdrop.name) for backdrop in backdrops]
        if style.backdrop and style.backdrop not in dict(choices):
            choices.append((style.backdrop, _("A picture that was deleted")))
        self.has_backdrops = bool(choices)
        field = self.fields["backdrop"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - tells mypy, and holds by the line above
        field.choices = choices

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not self.errors:
            try:
                self.style = Style.parse(_mapping(values))
            except StyleError as error:
                self.add_error(None, error.message)
        return values


def values_of(style: Style) -> dict[str, Any]:
    """Return the fields' values for a style."""
    values = DEFAULTS | style.canonical()
    width, height = style.size or ("", "")
    margin = "" if values["margin"] == DEFAULTS["margin"] else values["margin"]
    return values | {"width": width, "height": height, "margin": margin}


def query_of(style: Style) -> str:
    """Return the query of an address that fills in the form with a style."""
    return urlencode({name: value for name, value in values_of(style).items() if value not in ("", False)})


def _mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the style's mapping for the fields' values."""
    mapping = {name: values[name] for name in NAMES & set(values) if values[name] not in ("", None)}
    width, height = values.get("width"), values.get("height")
    if width or height:  # one side alone is a square's
        mapping["size"] = f"{width or height} {height or width}"
    if mapping.get("background") != Background.PICTURE:
        mapping.pop("backdrop", None)
    return mapping
