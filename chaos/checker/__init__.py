"""The verdict when all is quiet again: ``manage.py verify``'s invariants, and the upstream's journal.

``failures`` returns a plain sentence for whatever doesn't fit; an empty list is the promise kept.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from django.core.files.storage import default_storage

from chaos.checker import charges
from chaos.upstream import Call, Log, result_for
from jobs.audit import verify
from jobs.models import Attempt, Job
from jobs.storage import files, inventory

NOT_PROCESSED = (307, 401, 402, 403, 404, 429)
ENDED = (Attempt.State.BOOKED, Attempt.State.RELEASED, Attempt.State.IN_DOUBT)
LAST_ATTEMPTS = {
    Job.State.DONE: (Attempt.State.BOOKED, Attempt.State.IN_DOUBT),
    Job.State.FAILED: (Attempt.State.BOOKED, Attempt.State.RELEASED),
    Job.State.IN_DOUBT: (Attempt.State.IN_DOUBT,),
}
"""The states in which a job's last attempt may have ended."""

STRAY = "no row names the file "
AT_ONCE = 500


def failures(log: Log, *, uploads_cut: bool = False) -> list[str]:
    """Name what doesn't fit, over all jobs that there are. Wait until the system is settled first.

    uploads_cut: processes that took uploads in were killed, so sources may lie about that no row names.
    Workers sweep those after an hour.
    """
    verified = (f"verify finds, by invariant {n}: {sentence}" for n, sentence in verify.run().findings)
    jobs = Job.objects.prefetch_related("attempts").order_by("pk").iterator(AT_ONCE)
    by_job = chain.from_iterable(_check_job(job) for job in jobs)
    differences = map(str, charges.compare(charges.bookings(), log.charges))
    return [*verified, *by_job, *_check_calls(log), *differences, *_strays(uploads_cut=uploads_cut)]


def match_calls(log: Log) -> tuple[dict[Attempt, list[Call]], list[Call]]:
    """Return each attempt with its calls, and the calls of no attempt.

    A call belongs to its picture's attempt that was prepared last before it arrived: one ends before the next
    is prepared.
    """
    matched: dict[Attempt, list[Call]] = {}
    of_picture: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in Attempt.objects.select_related("job").order_by("-prepared_at"):
        matched[attempt] = []
        of_picture[attempt.job.source_sha256].append(attempt)
    strays: list[Call] = []
    for call in sorted(log.calls, key=lambda call: call.at):
        earlier = (a for a in of_picture[call.sha256 or ""] if a.prepared_at.timestamp() <= call.at)
        latest = next(earlier, None)
        (matched[latest] if latest else strays).append(call)
    return matched, strays


def _check_job(job: Job) -> Iterator[str]:
    """Check that it has ended as its last attempt did, and that it has its own source and result."""
    name, last = f"job {job.pk} ({job.name})", max(job.attempts.all(), key=lambda attempt: attempt.number)
    allowed = LAST_ATTEMPTS.get(Job.State(job.state))
    if allowed is None:
        yield f"{name} is still {job.state}"
    elif last.state not in allowed:
        yield f"{name} is {job.state}, and its last attempt {last.state}"
    if job.source.name and default_storage.exists(job.source.name):  # if it is lost, verify says so
        with default_storage.open(job.source.name) as file:
            if files.sha256(file) != job.source_sha256:
                yield f"{name}: the source is not what was recorded"
    if job.state != Job.State.DONE and job.result.name:
        yield f"{name} is {job.state} and has a result"
    if job.state == Job.State.DONE and job.result_sha256 != _expected_sha256(job.source_sha256):
        yield f"{name}: the result is another picture's"


def _expected_sha256(source_sha256: str) -> str:
    return hashlib.sha256(result_for(source_sha256)).hexdigest()


def _check_calls(log: Log) -> Iterator[str]:
    """Check that calls were declared, and repeated only if the upstream hadn't looked at them."""
    matched, strays = match_calls(log)
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


def _strays(*, uploads_cut: bool) -> Iterator[str]:
    """Name files without a row at once; verify gives uploads an hour."""
    rows = Job.objects.values_list("source", "result")
    named = {name for names in rows for name in names}
    for name in sorted(set(inventory.stored_names()) - named):
        if not (uploads_cut and "/source." in name):
            yield f"{STRAY}{name}"
