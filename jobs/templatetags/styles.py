"""Give the restyling dialog of a batch what it shows."""

from typing import Any

from django import template

from accounts.models import Team
from jobs.models import Batch, Job, Recipe
from jobs.renditions import presets
from jobs.renditions.style_form import StyleForm

register = template.Library()


@register.simple_tag
def restyle_choices(team: Team, batch: Batch) -> dict[str, Any]:
    """Return the team's presets and recipes, a form, and the batch's first picture to show them on."""
    done = batch.jobs.filter(state=Job.State.DONE, erased_at=None)
    return {
        "rows": presets.rows_of(team),
        "recipes": Recipe.objects.filter(team=team).prefetch_related("presets"),
        "form": StyleForm(team, ids="restyle"),  # the page may have other forms with fields of these names
        "done": done.count(),
        "sample": done.order_by("number", "pk").first(),
    }
