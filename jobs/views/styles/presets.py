"""A team's presets, with the examples of marketplaces to copy from."""

from django.contrib import messages
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import Membership, Role
from accounts.teams.permissions import enter
from jobs.models import Backdrop, Preset, Recipe
from jobs.renditions import backdrops, presets
from jobs.renditions.forms import PresetForm
from jobs.renditions.marketplaces import BY_KEY, EXAMPLES
from jobs.renditions.presets import NameTakenError
from jobs.renditions.style import PLAIN, Style, StyleError


@require_GET
def all_presets(request: HttpRequest, team: str) -> HttpResponse:
    """List the presets, recipes and background pictures, and the examples."""
    member = enter(request, team)
    recipes = Recipe.objects.filter(team=member.team).prefetch_related(
        Prefetch("presets", Preset.objects.order_by("name"))
    )
    kept = Backdrop.objects.filter(team=member.team).order_by("name", "pk")
    context = {
        "team": member.team,
        "rows": [(row, presets.may_change(member, row.preset)) for row in presets.rows_of(member.team)],
        "recipes": [(recipe, presets.may_change(member, recipe)) for recipe in recipes],
        "backdrops": [(backdrop, backdrops.may_delete(member, backdrop)) for backdrop in kept],
        "examples": EXAMPLES,
        "sample": presets.sample_of(member.team),
        "may_add": member.role >= Role.MEMBER,
    }
    return render(request, "jobs/presets.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new_preset(request: HttpRequest, team: str) -> HttpResponse:
    """Make a preset; the form begins with the style that the address states."""
    member = enter(request, team, Role.MEMBER)
    preset = Preset(team=member.team, created_by=member.user)
    return _edit(request, member, preset, style_from(request.GET.get("style", "")))


@require_http_methods(["GET", "HEAD", "POST"])
def edit_preset(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    member, preset = _preset(request, team, pk)
    return _edit(request, member, preset, presets.style_of(preset) or PLAIN)


@require_POST
def delete_preset(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Delete a preset. Batches that were restyled with it keep their style."""
    preset = _preset(request, team, pk)[1]
    preset.delete()
    messages.success(request, _("The preset %(name)s is deleted.") % {"name": preset.name})
    return redirect("presets", team=team)


@require_POST
def copy_example(request: HttpRequest, team: str, key: str) -> HttpResponse:
    """Add a marketplace's example to the team's presets."""
    member = enter(request, team, Role.MEMBER)
    if key not in BY_KEY:
        raise Http404
    example = BY_KEY[key]
    if presets.copy_example(member, example):
        messages.success(request, _("%(name)s is one of your team's presets now.") % {"name": example.name})
    else:
        messages.info(request, _("Your team has a preset named %(name)s already.") % {"name": example.name})
    return redirect("presets", team=team)


def style_from(text: str) -> Style:
    """Return the style that an address states; the plain one if it can't be read."""
    try:
        return Style.from_json(text)
    except StyleError:
        return PLAIN


def _preset(request: HttpRequest, team: str, pk: int) -> tuple[Membership, Preset]:
    member = enter(request, team, Role.MEMBER)
    preset = get_object_or_404(Preset, team=member.team, pk=pk)
    presets.check_may_change(member, preset)
    return member, preset


def _edit(request: HttpRequest, member: Membership, preset: Preset, style: Style) -> HttpResponse:
    may_lock = presets.may_lock(member)
    data = request.POST if request.method == "POST" else None
    form = PresetForm(member.team, data, preset=preset, may_lock=may_lock, style=style)
    if form.is_valid():
        locked = form.cleaned_data["locked"] if may_lock else preset.locked
        try:
            presets.save_preset(preset, form.cleaned_data["name"], form.style, locked=locked)
        except NameTakenError:
            form.add_error("name", _("The team has one of this name already."))
        else:
            messages.success(request, _("The preset %(name)s is saved.") % {"name": preset.name})
            return redirect("presets", team=member.team.slug)
    context = {"team": member.team, "form": form, "preset": preset, "sample": presets.sample_of(member.team)}
    return render(request, "jobs/preset.html", context | {"shown": form.style if form.is_bound else style})
