"""URLs of a team's pictures, below ``/t/<team>/``."""

from django.urls import path, re_path

from jobs.views import (
    backdrops,
    downloads,
    history,
    job,
    pictures,
    presets,
    quick_start,
    recipes,
    styles,
    workspace,
)

urlpatterns = [
    path("", workspace.workspace, name="workspace"),
    path("upload/", workspace.upload, name="upload"),
    path("batches/<uuid:batch>/", workspace.batch, name="batch"),
    path("batches/<uuid:batch>/download/", downloads.batch_zip, name="batch_zip"),
    path("batches/<uuid:batch>/manifest.csv", downloads.batch_manifest, name="batch_manifest"),
    path("batches/<uuid:batch>/names/", downloads.batch_names, name="batch_names"),
    path("api/", quick_start.quick_start, name="quick_start"),
    path("history/", history.history, name="history"),
    path("jobs/<int:pk>/", job.job, name="job"),
    path("jobs/<int:pk>/again/", job.again, name="again"),
    path("batches/<uuid:batch>/outputs/", styles.batch_outputs, name="batch_outputs"),
    path("jobs/<int:pk>/styled.webp", styles.styled, name="styled"),
    path("jobs/<int:pk>/styled/", styles.styled_download, name="styled_download"),
    path("presets/", presets.all_presets, name="presets"),
    path("presets/new/", presets.new_preset, name="new_preset"),
    path("presets/<int:pk>/", presets.edit_preset, name="preset"),
    path("presets/<int:pk>/delete/", presets.delete_preset, name="delete_preset"),
    path("presets/examples/<slug:key>/", presets.copy_example, name="copy_example"),
    path("recipes/new/", recipes.new_recipe, name="new_recipe"),
    path("recipes/<int:pk>/", recipes.edit_recipe, name="recipe"),
    path("recipes/<int:pk>/delete/", recipes.delete_recipe, name="delete_recipe"),
    path("backdrops/", backdrops.add_backdrop, name="add_backdrop"),
    path("backdrops/<int:pk>.webp", backdrops.show_backdrop, name="backdrop"),
    path("backdrops/<int:pk>/delete/", backdrops.delete_backdrop, name="delete_backdrop"),
    path("jobs/<int:pk>/cutout.png", pictures.download, name="download"),
    re_path(
        r"^jobs/(?P<pk>[0-9]{1,18})/(?P<side>before|after)-(?P<size>tile|page)\.webp$",
        pictures.show,
        name="shown",
    ),
]
