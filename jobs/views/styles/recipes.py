"""A team's recipes: several presets at once, a file for each."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Membership, Role
from accounts.teams.permissions import enter
from jobs.models import Recipe
from jobs.renditions import presets
from jobs.renditions.forms import RecipeForm
from jobs.renditions.presets import NameTakenError


@require_http_methods(["GET", "HEAD", "POST"])
def new_recipe(request: HttpRequest, team: str) -> HttpResponse:
    member = enter(request, team, Role.MEMBER)
    return _edit(request, member, Recipe(team=member.team, created_by=member.user))


@require_http_methods(["GET", "HEAD", "POST"])
def edit_recipe(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    return _edit(request, *_recipe(request, team, pk))


@require_POST
def delete_recipe(request: HttpRequest, team: str, pk: int) -> HttpResponse:
    """Delete a recipe; its presets stay."""
    recipe = _recipe(request, team, pk)[1]
    recipe.delete()
    messages.success(request, _("The recipe %(name)s is deleted.") % {"name": recipe.name})
    return redirect("presets", team=team)


def _recipe(request: HttpRequest, team: str, pk: int) -> tuple[Membership, Recipe]:
    member = enter(request, team, Role.MEMBER)
    recipe = get_object_or_404(Recipe, team=member.team, pk=pk)
    presets.check_may_change(member, recipe)
    return member, recipe


def _edit(request: HttpRequest, member: Membership, recipe: Recipe) -> HttpResponse:
    may_lock = presets.may_lock(member)
    data = request.POST if request.method == "POST" else None
    form = RecipeForm(member.team, data, recipe=recipe, may_lock=may_lock)
    if form.is_valid():
        chosen = form.cleaned_data
        locked = chosen["locked"] if may_lock else recipe.locked
        try:
            presets.save_recipe(recipe, chosen["name"], chosen["presets"], locked=locked)
        except NameTakenError:
            form.add_error("name", _("The team has one of this name already."))
        else:
            messages.success(request, _("The recipe %(name)s is saved.") % {"name": recipe.name})
            return redirect("presets", team=member.team.slug)
    return render(request, "jobs/recipe.html", {"team": member.team, "form": form, "recipe": recipe})
