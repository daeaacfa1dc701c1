"""URLs of a team's pictures, below ``/t/<team>/``."""

from django.urls import path, re_path

from jobs.views import batch, history, job, pictures, quick_start, workspace

urlpatterns = [
    path("", workspace.workspace, name="workspace"),
    path("upload/", workspace.upload, name="upload"),
    path("batches/<uuid:batch>/", batch.batch, name="batch"),
    path("batches/<uuid:batch>/changes/", batch.changes, name="batch_changes"),
    path("batches/<uuid:batch>/control/", batch.control, name="batch_control"),
    path("batches/<uuid:batch>/rename/", batch.rename, name="batch_rename"),
    path("batches/<uuid:batch>/proof/", batch.decide, name="batch_proof"),
    path("api/", quick_start.quick_start, name="quick_start"),
    path("history/", history.history, name="history"),
    path("jobs/<int:pk>/", job.job, name="job"),
    path("jobs/<int:pk>/again/", job.again, name="again"),
    path("jobs/<int:pk>/cutout.png", pictures.download, name="download"),
    re_path(
        r"^jobs/(?P<pk>[0-9]{1,18})/(?P<side>before|after)-(?P<size>tile|page)\.webp$",
        pictures.show,
        name="shown",
    ),
]
