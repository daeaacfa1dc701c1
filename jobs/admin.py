"""Jobs and their attempts in Django's admin, to look at: their states are changed by the queue alone."""

from typing import Any

from django.contrib import admin

from accounts.money import to_credits
from jobs.models import Attempt, Job
from jobs.reconcile import verdict


def never(*_args: Any, **_kwargs: Any) -> bool:
    return False


class AttemptInline(admin.TabularInline):
    model = Attempt
    has_add_permission = has_change_permission = has_delete_permission = never
    fields = ("number", "state", "sent_at", "answered_at", "status", "charged_header", "error_message")
    show_change_link = True


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    has_add_permission = has_change_permission = has_delete_permission = never
    list_display = ("id", "team", "name", "state", "reason", "credits", "created_by", "created_at", "worker")
    list_filter = ("state", "reason", "team")
    list_select_related = ("team", "created_by")
    search_fields = ("name", "request_id", "source_sha256")
    show_full_result_count = False
    inlines = (AttemptInline,)

    @admin.display(description="estimated", ordering="estimated_microcredits")
    def credits(self, job: Job) -> str:
        return str(to_credits(job.estimated_microcredits))


@admin.register(Attempt)
class AttemptAdmin(admin.ModelAdmin):
    has_add_permission = has_change_permission = has_delete_permission = never
    list_display = ("job", "number", "state", "sent_at", "status", "charged_header", "verdict")
    list_filter = ("state", "status")
    list_select_related = ("job", "hold")
    search_fields = ("job__name", "job__id")
    show_full_result_count = False

    @admin.display(description="verdict")
    def verdict(self, attempt: Attempt) -> str:
        return str(verdict(attempt).label)
