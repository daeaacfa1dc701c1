"""Named styles of a team, and who may change them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import Membership, Role, Team
from jobs.models import Job, Preset, Recipe
from jobs.renditions.marketplaces import Example
from jobs.renditions.style import PLAIN, Style, StyleError
from jobs.renditions.style_form import query_of


@dataclass(frozen=True)
class PresetRow:
    """A preset as pages show it. style: None if it isn't valid any more."""

    preset: Preset
    style: Style | None

    @property
    def query(self) -> str:
        """Return the query of an address that fills in a style's form with it."""
        return query_of(self.style or PLAIN)


class NameTakenError(Exception):
    """The team has one of this name already."""


def may_lock(member: Membership) -> bool:
    return member.role >= Role.MANAGER


def may_change(member: Membership, named: Preset | Recipe) -> bool:
    """Return True if the member may change or delete it: managers any, members what isn't locked."""
    return may_lock(member) or (member.role >= Role.MEMBER and not named.locked)


def check_may_change(member: Membership, named: Preset | Recipe) -> None:
    """Raise PermissionDenied unless the member may change or delete it."""
    if not may_change(member, named):
        raise PermissionDenied(_("A manager has locked this. Ask them to change it, or make a copy."))


def rows_of(team: Team) -> list[PresetRow]:
    """Return the team's presets in the order of their names."""
    return [PresetRow(preset, style_of(preset)) for preset in Preset.objects.filter(team=team)]


def style_of(preset: Preset) -> Style | None:
    """Return the preset's style; None if it isn't valid any more."""
    try:
        return Style.parse(preset.style)
    except StyleError:
        return None


def sample_of(team: Team) -> Job | None:
    """Return the team's latest cut-out, on which presets are shown."""
    return Job.objects.filter(team=team, state=Job.State.DONE, erased_at=None).order_by("-created_at").first()


def save_preset(preset: Preset, name: str, style: Style, *, locked: bool) -> None:
    """Write a preset; raise NameTakenError."""
    preset.name, preset.style, preset.locked = name, style.canonical(), locked
    _save(preset)


def save_recipe(recipe: Recipe, name: str, presets: Iterable[Preset], *, locked: bool) -> None:
    """Write a recipe; raise NameTakenError."""
    recipe.name, recipe.locked = name, locked
    with transaction.atomic():
        _save(recipe)
        recipe.presets.set(presets)


def copy_example(member: Membership, example: Example) -> Preset | None:
    """Return the team's new preset; None if it has one of this name already."""
    preset = Preset(team=member.team, created_by=member.user)
    try:
        save_preset(preset, example.name, example.style, locked=False)
    except NameTakenError:
        return None
    return preset


def _save(named: Preset | Recipe) -> None:
    try:
        with transaction.atomic():
            named.save()
    except IntegrityError as error:  # the forms look first, but two people may save at once
        raise NameTakenError(named.name) from error
