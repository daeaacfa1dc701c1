"""Show a job: its state's and verdict's tone, which stands for a colour and an icon, and its file's name."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from jobs.audit.reconcile import Verdict
from jobs.models import Job

register = template.Library()

TONE_OF_STATE = {
    Job.State.QUEUED: "wait",
    Job.State.RUNNING: "run",
    Job.State.DONE: "ok",
    Job.State.FAILED: "fail",
    Job.State.IN_DOUBT: "doubt",
    Job.State.KEPT: "wait",
    Job.State.PAUSED: "wait",
    Job.State.CANCELLED: "wait",
}
TONE_OF_VERDICT = {
    Verdict.IN_DOUBT: "doubt",
    Verdict.NO_HEADER: "doubt",
    Verdict.IMPLAUSIBLE: "fail",
    Verdict.UNBOOKED: "fail",
    Verdict.MISMATCH: "fail",
    Verdict.OVERAGE: "doubt",
    Verdict.OPEN: "wait",
    Verdict.MATCHED: "ok",
    Verdict.RELEASED: "ok",
}


@register.filter
def tone(job: Job) -> str:
    return TONE_OF_STATE[Job.State(job.state)]


@register.filter
def verdict_tone(verdict: Verdict) -> str:
    return TONE_OF_VERDICT[verdict]


@register.filter
def verdict_name(verdict: str) -> str:
    return str(Verdict(verdict).label)


@register.filter
def breakable(name: str) -> SafeString:
    """Let a file's name break after its separators, where a line is too short for it."""
    return mark_safe(re.sub(r"([_.-])(?=.)", r"\1<wbr>", escape(name)))  # noqa: S308 - escaped; no entity has one
