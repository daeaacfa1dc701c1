"""Named styles of a team: presets, recipes of several presets, and the pictures used as backgrounds.

``jobs.renditions.style`` says what a style is.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, User


class Backdrop(models.Model):
    """A picture that a team puts behind its cut-outs."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="backdrops")
    name = models.CharField(_("name"), max_length=120)
    file = models.FileField(max_length=200)
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="backdrops")
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["team", "sha256"], name="backdrop_once"),)

    def __str__(self) -> str:
        return self.name


class Preset(models.Model):
    """A style with a name. locked: only managers may change or delete it."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="presets")
    name = models.CharField(_("name"), max_length=80)
    style = models.JSONField(default=dict)
    locked = models.BooleanField(_("locked"), default=False)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="presets")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=["team", "name"], name="preset_name_once"),)

    def __str__(self) -> str:
        return self.name


class Recipe(models.Model):
    """Several presets at once: one cut-out becomes a file for each."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="recipes")
    name = models.CharField(_("name"), max_length=80)
    presets = models.ManyToManyField(Preset, related_name="recipes")
    locked = models.BooleanField(_("locked"), default=False)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="recipes")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=["team", "name"], name="recipe_name_once"),)

    def __str__(self) -> str:
        return self.name
