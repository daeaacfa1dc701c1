"""Fragments that a page polls while something in them is still under way."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from jobs.audit.reconcile import Books, books
from jobs.models import Job

NOTHING_NEW = 204


@dataclass(frozen=True)
class Row:
    """A job with its books, as every page shows it."""

    job: Job
    books: Books


def context(jobs: Iterable[Job], address: str) -> dict[str, Any]:
    """The rows, what they looked like in one short text, and where to ask for changes."""
    rows = [Row(job, books(job)) for job in jobs]
    seen = blake2b(digest_size=8)
    for row in rows:
        seen.update(f"{row.job.pk} {row.job.updated_at.timestamp()} {row.job.is_stalled};".encode())
    unfinished = any(not row.job.is_finished for row in rows)
    return {"rows": rows, "address": address, "seen": seen.hexdigest(), "unfinished": unfinished}


def fragment(request: HttpRequest, template: str, shown: dict[str, Any]) -> HttpResponse:
    """The fragment, or 204 where the page shows the same already: the browser then leaves it alone, with
    the reader's focus and selection."""
    if request.GET.get("seen") == shown["seen"]:
        return HttpResponse(status=NOTHING_NEW)
    return render(request, template, shown)
