"""URLs of a team's pictures, below ``/t/<team>/``."""

from django.urls import path, re_path

from jobs.views import pictures
from jobs.views.batches import batch, downloads
from jobs.views.credits import statement, usage
from jobs.views.history import history, history_csv
from jobs.views.intake import batch_files, batch_plans, chunks, trials, uploads, workspace
from jobs.views.picture import erasing, job, report
from jobs.views.review import audit_log, review, review_several
from jobs.views.styles import backdrops, presets, recipes, styles
from jobs.views.teams import quick_start, retention, team_deletion, team_export, webhooks

urlpatterns = [
    path("credits/usage/", usage.usage, name="usage"),
    path("credits/usage.csv", usage.usage_csv, name="usage_csv"),
    path("", workspace.workspace, name="workspace"),
    path("upload/", uploads.upload, name="upload"),
    path("batches/", batch_files.open_batch, name="open_batch"),
    path("batches/<uuid:batch>/", batch.batch, name="batch"),
    path("batches/<uuid:batch>/changes/", batch.changes, name="batch_changes"),
    path("batches/<uuid:batch>/control/", batch.control, name="batch_control"),
    path("batches/<uuid:batch>/rename/", batch.rename, name="batch_rename"),
    path("batches/<uuid:batch>/proof/", batch.decide, name="batch_proof"),
    path("batches/<uuid:batch>/files/", batch_files.files, name="batch_files"),
    path("batches/<uuid:batch>/missing/", batch_files.missing, name="batch_missing"),
    path("batches/<uuid:batch>/plan/", batch_plans.show_plan, name="batch_plan"),
    path("batches/<uuid:batch>/chunks/<uuid:request_id>/", chunks.chunk, name="upload_chunk"),
    path("batches/<uuid:batch>/urls/", batch_files.addresses, name="batch_urls"),
    path("batches/<uuid:batch>/reuse/", batch_plans.use_again, name="batch_reuse"),
    path("batches/<uuid:batch>/upload/", uploads.batch_upload, name="batch_upload"),
    path("batches/<uuid:batch>/download/", downloads.batch_zip, name="batch_zip"),
    path("batches/<uuid:batch>/manifest.csv", downloads.batch_manifest, name="batch_manifest"),
    path("batches/<uuid:batch>/names/", downloads.batch_names, name="batch_names"),
    path("test-picture/", trials.test_picture, name="test_picture"),
    path("test-picture/<int:pk>/", trials.tested_picture, name="tested_picture"),
    path("api/", quick_start.quick_start, name="quick_start"),
    path("webhooks/", webhooks.all_webhooks, name="webhooks"),
    path("webhooks/<int:pk>/", webhooks.one_webhook, name="webhook"),
    path("webhooks/<int:pk>/secret/", webhooks.rotate, name="rotate_webhook"),
    path("webhooks/<int:pk>/ping/", webhooks.ping, name="ping_webhook"),
    path("webhooks/<int:pk>/switch/", webhooks.switch, name="switch_webhook"),
    path("webhooks/<int:pk>/delete/", webhooks.delete, name="delete_webhook"),
    path("webhooks/<int:pk>/deliveries/<int:delivery>/", webhooks.replay, name="replay_delivery"),
    path("history/", history.history, name="history"),
    path("credits/statement/", statement.statement, name="statement"),
    path("credits/statement/statement.csv", statement.statement_csv, name="statement_csv"),
    path("credits/statement/statement.json", statement.statement_json, name="statement_json"),
    path("history/counts/", history.history_counts, name="history_counts"),
    path("history.csv", history_csv.history_csv, name="history_csv"),
    path("jobs/<int:pk>/", job.job, name="job"),
    path("jobs/<int:pk>/again/", job.again, name="again"),
    path("jobs/<int:pk>/delete/", erasing.delete_job, name="delete_job"),
    path("batches/<uuid:batch>/delete/", erasing.delete_batch, name="delete_batch"),
    path("export/", team_export.export_team, name="export_team"),
    path("delete/", team_deletion.delete_team, name="delete_team"),
    path("storage/", retention.retention, name="retention"),
    path("jobs/<int:pk>/report/", report.report_result, name="report_result"),
    path("review/", review.review, name="review"),
    path("review/several/", review_several.decide_cases, name="decide_cases"),
    path("review/correct/", review_several.correct_credits, name="correct_credits"),
    path("review/<slug:case>/", review.decide_case, name="decide_case"),
    path("audit/", audit_log.audit_log, name="audit_log"),
    path("audit.csv", audit_log.audit_csv, name="audit_csv"),
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
