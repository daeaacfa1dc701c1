"""The live style beside a picture: its controls, and the presets to begin with."""

from collections.abc import Mapping
from typing import Any

from accounts.models import Membership
from jobs.renditions import presets
from jobs.renditions.style import PLAIN
from jobs.renditions.style_form import StyleForm, values_of


def panel(member: Membership, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the form that the address's query fills in, and the style that it shows.

    Without scripts the form is sent as a query; with them, the query is where a reload continues.
    """
    chosen = {name: query[name] for name in StyleForm.base_fields if name in query}
    form = StyleForm(member.team, values_of(PLAIN) | chosen if chosen else None)
    style = form.style if form.is_bound and form.is_valid() else PLAIN
    return {"form": form, "style": style, "is_shown": style != PLAIN, "rows": presets.rows_of(member.team)}
