"""Check invariants 9 and 10: nothing gets stuck."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone

from jobs.models import Attempt, Job, Ramp
from jobs.queue import concurrency

UNDELIVERED = timedelta(minutes=5)
UNANSWERED = timedelta(minutes=10)


def all_delivered() -> Iterator[str]:
    """Check 9: a due job is claimed, unless no call may start, or others are being claimed or put off."""
    now = timezone.now()
    long_ago = now - UNDELIVERED
    ramp = Ramp.objects.first()
    if (ramp and ramp.claimed_at > long_ago) or concurrency.free_calls() <= 0:
        return
    if Job.objects.asked_to_wait(now).exists():
        return
    for job in Job.objects.claimable(long_ago).order_by("pk").values_list("pk", flat=True).iterator():
        yield f"Job {job} has been due for more than 5 minutes, and no worker takes it."


def all_answered() -> Iterator[str]:
    """Check 10: a call is answered or in doubt once its worker's lease has run out, and each has its job."""
    sent = Attempt.objects.filter(state=Attempt.State.SENT, sent_at__lt=timezone.now() - UNANSWERED)
    for job, number in sent.order_by("sent_at").values_list("job_id", "number").iterator():
        yield f"Attempt {job}/{number} has been sent for more than 10 minutes."
    yield from _contradictions()


def _contradictions() -> Iterator[str]:
    """Yield where a job and its attempts, or its batch, say otherwise of what is left to do."""
    left_open = Attempt.objects.under_way().filter(job__state__in=[*Job.FINISHED, Job.State.KEPT])
    columns = left_open.order_by("pk").values_list("job_id", "number", "state", "job__state")
    for job, number, state, ended in columns.iterator():
        yield f"Attempt {job}/{number} is {state}, and its job is {ended}."
    paused = Job.objects.in_state(Job.State.PAUSED)
    has_none = ~Exists(Attempt.objects.under_way().filter(job=OuterRef("pk")))
    for waiting in (Job.objects.unfinished(), paused):
        for job, state in waiting.filter(has_none).order_by("pk").values_list("pk", "state").iterator():
            yield f"Job {job} is {state}, and has no call to make."
    for job in paused.filter(batch__paused_at=None).order_by("pk").values_list("pk", flat=True).iterator():
        yield f"Job {job} is paused, and its batch isn't."
