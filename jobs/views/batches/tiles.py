"""Describe the tiles of a batch's page, for its template and for its script alike."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse
from django.utils.formats import time_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from accounts.ledger.money import display
from jobs.audit.reconcile import Books, books
from jobs.batches.cursor import microseconds
from jobs.batches.progress import PROBLEMS, WAITING
from jobs.models import Batch, Job
from jobs.models.job import JobQuerySet
from jobs.renditions import apply
from jobs.renditions.previews import Size
from jobs.renditions.style import PLAIN
from jobs.templatetags.jobs import tone

State = Job.State
PAGE = 100
MAX_DIGITS = 10


class Addresses:
    """The addresses of a batch's pictures. They are resolved once: a response holds 2,000 of them.

    result: of a small result, in the batch's first style. style: tells that style from others.
    """

    def __init__(self, batch: Batch) -> None:
        self._before, self._after = reverse("job", args=[batch.team.slug, 0]).rsplit("0", 1)
        self.result, self.style = "after-tile.webp", ""
        outputs = apply.outputs_of(batch)
        if outputs and outputs[0].style != PLAIN:
            query = urlencode({"size": Size.TILE, "style": outputs[0].style.json()})
            self.result, self.style = f"styled.webp?{query}", outputs[0].style.sha256[:8]

    def of(self, pk: int, rest: str = "") -> str:
        return f"{self._before}{pk}{self._after}{rest}"


def tiles(jobs: JobQuerySet, batch: Batch) -> list[dict[str, Any]]:
    """Return the tiles of these jobs of a batch, in the same order."""
    addresses = Addresses(batch)
    return [tile(job, books(job), addresses) for job in jobs.with_books()]


def page(batch: Batch, show: str, after: str) -> dict[str, Any]:
    """Return a page of the batch's tiles, in the order of the drop: those behind a filter, after a key."""
    jobs = _shown(batch.jobs.order_by("number", "pk"), show)
    number, _, pk = after.partition("-")
    if all(part.isascii() and part.isdigit() and len(part) < MAX_DIGITS for part in (number, pk)):
        jobs = jobs.filter(Q(number__gt=int(number)) | Q(number=int(number), pk__gt=int(pk)))
    found = tiles(jobs[: PAGE + 1], batch)
    last = found[PAGE - 1] if len(found) > PAGE else None
    older = f"{last['number']}-{last['id']}" if last else ""
    return {"tiles": found[:PAGE], "next": older, "after": after, "show": show}


def _shown(jobs: Any, show: str) -> Any:
    if show == Job.Proof.APPROVED:
        return jobs.filter(proof=show)
    states = [state for state in State if show in (state, kind(state))]
    return jobs.filter(state__in=states) if show and states else jobs


def tile(job: Job, money: Books, addresses: Addresses) -> dict[str, Any]:
    """Return what a tile shows. v: its version, another one after each change."""
    return {
        "id": job.pk,
        "number": job.number,
        "name": job.name,
        "folder": job.folder,
        "state": job.state,
        "kind": kind(job.state),
        "tone": tone(job),
        "label": job.get_state_display(),
        "reason": _reason(job, money),
        "cost": _cost(job, money),
        "page": addresses.of(job.pk),
        "before": addresses.of(job.pk, "before-tile.webp") if job.erased_at is None else None,
        "after": addresses.of(job.pk, addresses.result) if job.has_result else None,
        "download": addresses.of(job.pk, "cutout.png") if job.has_result else None,
        "proof": job.proof,
        "v": f"{microseconds(job.updated_at)}{'s' if job.is_stalled else ''}{addresses.style}",
    }


def kind(state: str) -> str:
    """Return the filter of the page that shows jobs in this state."""
    if state == State.DONE:
        return "done"
    return "waiting" if state in WAITING else "problems" if state in PROBLEMS else ""


def _reason(job: Job, money: Books) -> str:
    if job.erased_at:
        return _("The picture was deleted.")
    parts = [str(job.get_reason_display())] if job.reason else []
    if money.booked is None and job.is_finished:
        parts.append(_("%(credits)s held") % {"credits": display(money.held)})
    if job.reason and job.state == State.QUEUED:
        time = time_format(localtime(job.run_after), "H:i:s")
        parts.append(_("Next attempt at %(time)s.") % {"time": time})
    if job.is_stalled:
        parts.append(_("Its worker stopped responding. Another one will take over."))
    return " ".join(parts)


def _cost(job: Job, money: Books) -> str:
    """Return what the cut-out has cost, and nothing while that isn't known."""
    if job.reused_from_id:
        return _("0 credits")
    return display(money.booked) if money.booked is not None and job.result else ""
