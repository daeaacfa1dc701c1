"""Serve fragments that a page polls while something in them is in progress."""

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
    """Return the rows, a digest of their state, and the address to poll for changes."""
    rows = [Row(job, books(job)) for job in jobs]
    digest = blake2b(digest_size=8)
    for row in rows:
        digest.update(f"{row.job.pk} {row.job.updated_at.timestamp()} {row.job.is_stalled};".encode())
    unfinished = any(not row.job.is_finished for row in rows)
    return {"rows": rows, "address": address, "seen": digest.hexdigest(), "unfinished": unfinished}


def fragment(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Return the fragment, or 204 if the page already shows the same state.

    The browser then leaves the page alone, with the user's focus and selection.
    """
    if request.GET.get("seen") == context["seen"]:
        return HttpResponse(status=NOTHING_NEW)
    return render(request, template, context)
