"""URLs of a team's pictures, below ``/t/<team>/``."""

from django.urls import path, re_path

from jobs.views import (
    batch_files,
    batch_plans,
    chunks,
    history,
    job,
    pictures,
    quick_start,
    trials,
    uploads,
    workspace,
)

urlpatterns = [
    path("", workspace.workspace, name="workspace"),
    path("upload/", uploads.upload, name="upload"),
    path("batches/", batch_files.open_batch, name="open_batch"),
    path("batches/<uuid:batch>/", workspace.batch, name="batch"),
    path("batches/<uuid:batch>/files/", batch_files.files, name="batch_files"),
    path("batches/<uuid:batch>/missing/", batch_files.missing, name="batch_missing"),
    path("batches/<uuid:batch>/plan/", batch_plans.show_plan, name="batch_plan"),
    path("batches/<uuid:batch>/chunks/<uuid:request_id>/", chunks.chunk, name="upload_chunk"),
    path("batches/<uuid:batch>/urls/", batch_files.addresses, name="batch_urls"),
    path("batches/<uuid:batch>/reuse/", batch_plans.use_again, name="batch_reuse"),
    path("batches/<uuid:batch>/upload/", uploads.batch_upload, name="batch_upload"),
    path("test-picture/", trials.test_picture, name="test_picture"),
    path("test-picture/<int:pk>/", trials.tested_picture, name="tested_picture"),
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
