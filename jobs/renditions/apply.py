"""Say what a batch's pictures become, and let workers make it at 0 credits.

A rendition that no worker has made yet is made when it is downloaded. So a row that a crash keeps from being
written costs a moment later on, and no picture.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Batch, Job, Preset, Rendition
from jobs.renditions.style import Style, StyleError

ROWS_AT_ONCE = 500
SPREAD = timedelta(hours=1)
"""By this much at most the last picture of a batch is due later than the first one, which is due that long
ago. The pictures of two batches so take turns, and neither waits for the whole of the other."""

TURN = timedelta(seconds=1)
MAX_NAME = 80


@dataclass(frozen=True)
class Output:
    """A file that each picture becomes. name: of its preset, "" for a style without one."""

    name: str
    style: Style

    @classmethod
    def of(cls, preset: Preset) -> "Output":
        """Return what a preset makes; raise StyleError if its style isn't valid any more."""
        return cls(preset.name, Style.parse(preset.style))

    def snapshot(self) -> dict[str, Any]:
        return {"name": self.name, "style": self.style.canonical()}


def outputs_of(batch: Batch) -> list[Output]:
    """Return what the batch's pictures become; what isn't valid any more is left out."""
    outputs = []
    for entry in batch.outputs:
        try:
            outputs.append(Output(entry["name"], Style.parse(entry["style"])))
        except StyleError:
            continue
    return outputs


@transaction.atomic
def apply(batch: Batch, outputs: Sequence[Output]) -> int:
    """Set what the batch's pictures become; return how many renditions of its done ones are wanted.

    The batch keeps the styles as they are now, whatever becomes of the presets.
    """
    batch.outputs = [output.snapshot() for output in outputs]
    batch.save(update_fields=["outputs", "updated_at"])
    of_batch = Rendition.objects.filter(job__batch=batch)
    styles = [output.style.sha256 for output in outputs]
    of_batch.filter(state=Rendition.State.WANTED).exclude(style_sha256__in=styles).delete()
    done = batch.jobs.filter(state=Job.State.DONE, erased_at=None).order_by("number", "pk")
    return _want(done, [output.style for output in outputs])


def follow(job: Job) -> None:
    """Let a picture that is done now get what its batch wants."""
    if job.batch_id is None or job.state != Job.State.DONE or job.erased_at:
        return
    batch = Batch.objects.only("outputs").get(pk=job.batch_id)
    if batch.outputs:
        styles = [output.style for output in outputs_of(batch)]
        _want(Job.objects.filter(pk=job.pk), styles)


def _want(done: "QuerySet[Job]", styles: Iterable[Style]) -> int:
    """Write rows for what isn't made yet; return how many are wanted then."""
    styles = list(dict.fromkeys(styles))
    keys = list(done.values_list("pk", flat=True))
    turns = dict(zip(keys, _turns(len(keys)), strict=True))
    for style in styles:
        rows = [
            Rendition(job_id=key, style_sha256=style.sha256, style=style.canonical(), due_at=turns[key])
            for key in keys
        ]
        Rendition.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE, ignore_conflicts=True)
    shown = Rendition.objects.filter(job__in=done.order_by(), style_sha256__in=[s.sha256 for s in styles])
    failed = shown.filter(state=Rendition.State.FAILED)
    failed.update(state=Rendition.State.WANTED, problem="", due_at=timezone.now(), takes=0)
    return shown.filter(state=Rendition.State.WANTED).count()


def _turns(count: int) -> list[datetime]:
    first = timezone.now() - SPREAD
    turn = min(TURN, SPREAD / max(1, count))
    return [first + place * turn for place in range(count)]
