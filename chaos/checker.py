"""The verdict when all is quiet again: ``manage.py verify``'s invariants, and the upstream's journal.

``failures`` returns a plain sentence for whatever doesn't fit; an empty list is the promise kept.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from typing import Any

from django.core.files.storage import default_storage

from accounts.ledger.money import to_credits
from chaos.upstream import Call, Charge, Log, result_for
from jobs.audit import verify
from jobs.audit.reconcile.verdicts import judged
from jobs.models import Attempt, Job, Rendition
from jobs.storage import files, inventory

NOT_PROCESSED = (307, 401, 402, 403, 404, 429)
ENDED = (Attempt.State.BOOKED, Attempt.State.RELEASED, Attempt.State.IN_DOUBT)
LAST_ATTEMPTS = {
    Job.State.DONE: (Attempt.State.BOOKED, Attempt.State.IN_DOUBT),
    Job.State.FAILED: (Attempt.State.BOOKED, Attempt.State.RELEASED),
    Job.State.IN_DOUBT: (Attempt.State.IN_DOUBT,),
    Job.State.CANCELLED: (Attempt.State.BOOKED, Attempt.State.RELEASED, Attempt.State.IN_DOUBT),
}
"""The states in which a job's last attempt may have ended."""

STRAY = "no row names the file "
UNNAMED = re.compile(r"/(source|rendition-\w+)\.")  # files that are stored before their rows are written
AT_ONCE = 500

Matched = dict[Any, list[Call]]
"""Attempts, judged, and their calls."""


def failures(log: Log, *, web_killed: bool = False) -> list[str]:
    """Name what doesn't fit, over all jobs that there are. Wait until the system is settled first.

    web_killed: processes that took uploads in and made renditions were killed, so files may lie about that no
    row names. Workers sweep those after an hour.
    """
    verified = (f"verify finds, by invariant {n}: {sentence}" for n, sentence in verify.run().findings)
    jobs = Job.objects.prefetch_related("attempts").order_by("pk").iterator(AT_ONCE)
    by_job = chain.from_iterable(_check_job(job) for job in jobs)
    matched, strays = match_calls(log)
    calls = [*_check_calls(log, matched, strays), *check_charges(log, matched)]
    return [*verified, *by_job, *calls, *_strays(web_killed=web_killed)]


def match_calls(log: Log) -> tuple[Matched, list[Call]]:
    """Return each attempt with its calls, and the calls of no attempt."""
    return match(judged(Attempt.objects.select_related("job")), log.calls)


def match(attempts: Iterable[Any], calls: list[Call]) -> tuple[Matched, list[Call]]:
    """Match without a look at the database.

    A call belongs to its picture's attempt that was prepared last before it arrived: one ends before the next
    is prepared.
    """
    matched: Matched = {}
    of_picture: defaultdict[str, list[Any]] = defaultdict(list)
    for attempt in sorted(attempts, key=attrgetter("prepared_at"), reverse=True):
        matched[attempt] = []
        of_picture[attempt.job.source_sha256].append(attempt)
    strays: list[Call] = []
    for call in sorted(calls, key=attrgetter("at")):
        earlier = (a for a in of_picture[call.sha256 or ""] if a.prepared_at.timestamp() <= call.at)
        latest = next(earlier, None)
        (matched[latest] if latest else strays).append(call)
    return matched, strays


def _check_job(job: Job) -> Iterator[str]:
    """Check that it has ended as its last attempt did, and that it has its own source and result."""
    name = f"job {job.pk} ({job.name})"
    last = max(job.attempts.all(), key=lambda attempt: attempt.number, default=None)
    allowed = LAST_ATTEMPTS.get(Job.State(job.state))
    if allowed is None:
        yield f"{name} is still {job.state}"
    elif last and last.state not in allowed:
        yield f"{name} is {job.state}, and its last attempt {last.state}"
    elif last is None and job.state != Job.State.CANCELLED and job.reused_from_id is None:
        yield f"{name} is {job.state} without an attempt"
    if job.source.name and default_storage.exists(job.source.name):  # if it is lost, verify says so
        with default_storage.open(job.source.name) as file:
            if files.sha256(file) != job.source_sha256:
                yield f"{name}: the source is not what was recorded"
    if job.state != Job.State.DONE and job.result.name:
        yield f"{name} is {job.state} and has a result"
    yield from wrong_results([job])


def wrong_results(jobs: Iterable[Job]) -> Iterator[str]:
    """Name jobs whose result is another picture's."""
    for job in jobs:
        expected = hashlib.sha256(result_for(job.source_sha256)).hexdigest()
        if job.state == Job.State.DONE and job.result_sha256 != expected:
            yield f"job {job.pk} ({job.name}): the result is another picture's"


def _check_calls(log: Log, matched: Matched, strays: list[Call]) -> Iterator[str]:
    """Check that calls were declared, and repeated only if the upstream hadn't looked at them."""
    headers: defaultdict[int, list[str | None]] = defaultdict(list)
    for charge in log.charges:
        headers[charge.call].append(charge.header)
    sends = sum(attempt.sends for attempt in matched)
    if len(log.calls) > sends:
        yield f"{len(log.calls)} calls came, {sends} were declared"
    yield from (f"call {call.n} came before its job was there" for call in strays if call.sha256)
    for attempt, calls in matched.items():
        sent = [header for call in calls for header in headers[call.n]]
        what = f"job {attempt.job_id} ({attempt.job.name}), attempt {attempt.number} ({attempt.state})"
        yield from (f"{what}: {wrong}" for wrong in _check_attempt(attempt, calls, sent))


def _check_attempt(attempt: Attempt, calls: list[Call], headers: list[str | None]) -> Iterator[str]:
    if attempt.state not in ENDED:
        yield "has not ended"
    if len(calls) > attempt.sends:
        yield f"{len(calls)} calls came, {attempt.sends} were declared"
    for call in calls[:-1]:
        if call.status not in NOT_PROCESSED:
            yield f"call {call.n} ({call.fault}) was repeated"
    known = attempt.charged_microcredits is not None
    if attempt.state == Attempt.State.IN_DOUBT and known and attempt.doubt != Attempt.Doubt.LATE:
        yield f"there is no reason for a doubt: {attempt.charged_header!r} was sent"
    undecided = attempt.state == Attempt.State.BOOKED and attempt.resolved_microcredits is None
    if undecided and headers and attempt.charged_header not in headers:
        yield f"the header {attempt.charged_header!r} was recorded, {headers} sent"


def check_charges(log: Log, matched: Matched) -> Iterator[str]:
    """Compare what was booked for each attempt with what the journal charged for its calls."""
    charges: defaultdict[int, list[Charge]] = defaultdict(list)
    for charge in log.charges:
        if charge.microcredits:
            charges[charge.call].append(charge)
    for attempt, calls in matched.items():
        unknown = {Attempt.State.SENT: None, Attempt.State.IN_DOUBT: None}
        unknown[Attempt.State.ANSWERED] = attempt.charged_microcredits
        charged = [charge for call in calls for charge in charges.pop(call.n, [])]
        for wrong in compare(unknown.get(attempt.state, attempt.booked), charged):
            yield f"{attempt.job_id}/{attempt.number}: {wrong}"
    for charge in chain.from_iterable(charges.values()):
        yield f"{to_credits(charge.microcredits)} at {_time(charge)} was charged for no attempt"


def compare(booked: int | None, charges: list[Charge]) -> Iterator[str]:
    """Name what doesn't fit between a booking, None if it is open or in doubt, and its charges."""
    if booked and not charges:
        yield f"{to_credits(booked)} booked, and the journal has no charge"
    # The one of the very amount comes first; of the rest each is one too many.
    for n, charge in enumerate(sorted(charges, key=lambda charge: charge.microcredits != booked)):
        what = f"{to_credits(charge.microcredits)} at {_time(charge)}"
        if n:
            yield f"charged once more, {what}"
        elif booked not in (None, charge.microcredits):
            yield f"{to_credits(booked)} booked, and the journal charged {what}"


def _time(charge: Charge) -> str:
    return datetime.fromtimestamp(charge.at, UTC).isoformat(sep=" ", timespec="milliseconds")


def _strays(*, web_killed: bool) -> Iterator[str]:
    """Name files without a row at once; verify gives uploads an hour."""
    rows = Job.objects.values_list("source", "result")
    named = {name for names in rows for name in names}
    named |= set(Rendition.objects.values_list("file", flat=True))
    for name in sorted(set(inventory.stored_names()) - named):
        is_preview = name.removesuffix(".webp").rpartition(".")[0] in named
        if not is_preview and not (web_killed and UNNAMED.search(name)):
            yield f"{STRAY}{name}"
