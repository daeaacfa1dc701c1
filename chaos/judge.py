"""The verdict when all is quiet again: do our rows, our files and the upstream's own log tell one story?

``failures`` compares the three and returns a plain sentence for whatever doesn't fit; an empty list is the
promise kept. Every sum is taken anew, from the transfers. Only in the end is the product asked what it finds
wrong itself.
"""

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from django.core.files.storage import default_storage

from chaos.balances import unbalanced
from chaos.cases import Case, Told, cases
from chaos.upstream import Log, result_for
from jobs.audit import verify
from jobs.models import Attempt, Job

NOT_PROCESSED = (307, 401, 402, 403, 404, 429)
ENDED = (Attempt.State.BOOKED, Attempt.State.RELEASED, Attempt.State.IN_DOUBT)
ENDS_OF = {
    Job.State.DONE: (Attempt.State.BOOKED, Attempt.State.IN_DOUBT),
    Job.State.FAILED: (Attempt.State.BOOKED, Attempt.State.RELEASED),
    Job.State.IN_DOUBT: (Attempt.State.IN_DOUBT,),
}
"""How a job's last attempt may have ended."""


def failures(log: Log, *, uploads_cut: bool = False) -> list[str]:
    """What doesn't fit, over all jobs that there are. Wait until the site is settled first.

    uploads_cut: whoever took them in was killed too, so that sources may lie about that no row names. Workers
    sweep those after an hour.
    """
    found = list(cases(log))
    by_job = chain.from_iterable(_of_job(case) for case in found)
    own = (f"verify finds, by invariant {n}: {sentence}" for n, sentence in verify.run().findings)
    return [*by_job, *_of_log(found, log), *_of_folder(found, uploads_cut=uploads_cut), *unbalanced(), *own]


def _of_job(case: Case) -> Iterator[str]:
    yield from _ended(case)
    yield from (f"{case} was called for before it was there: call {call.n}" for call in case.strays)
    for told in case.attempts:
        here = f"{case}, attempt {told.row.number} ({told.row.state})"
        yield from (f"{here}: {what}" for what in chain(_paid(told), _called(told)))
    yield from (f"{case}: {what}" for what in _kept(case))


def _ended(case: Case) -> Iterator[str]:
    allowed = ENDS_OF.get(Job.State(case.job.state))
    if allowed is None:
        yield f"{case} is still {case.job.state}"
    elif case.last.state not in allowed:
        yield f"{case} is {case.job.state}, and its last attempt {case.last.state}"


def _paid(told: Told) -> Iterator[str]:
    """What was booked is what was charged; where nobody knew, at most one charge came."""
    booked, charged, row = told.booked_microcredits, told.charged_microcredits, told.row
    if row.state not in ENDED:
        yield "has not ended"
    if len(told.charges) > 1:
        yield f"was charged {len(told.charges)} times: calls {[charge.call for charge in told.charges]}"
    if row.state == Attempt.State.IN_DOUBT:
        if booked:
            yield f"{booked} were booked"
        if row.charged_microcredits is not None and row.doubt != Attempt.Doubt.LATE:
            yield f"there is no reason for a doubt: {row.charged_header!r} was told"
    elif booked != charged:
        yield f"{booked} were booked, {charged} charged"
    headers = [charge.header for charge in told.charges]
    if row.state == Attempt.State.BOOKED and headers and row.charged_header not in headers:
        yield f"the header {row.charged_header!r} was recorded, {headers} sent"


def _called(told: Told) -> Iterator[str]:
    """A call goes again only where the upstream said that it hadn't looked at it."""
    if len(told.calls) > told.row.sends:
        yield f"{len(told.calls)} calls came, {told.row.sends} were declared"
    for call in told.unprocessed:
        if call.status not in NOT_PROCESSED:
            yield f"call {call.n} ({call.fault}) was repeated"


def _kept(case: Case) -> Iterator[str]:
    """The source is there, and a result where the job is done: byte for byte what the upstream sent."""
    job = case.job
    yield from _file("source", job.source.name, job.source_sha256, job.source_bytes)
    if job.state != Job.State.DONE:
        if job.result.name:
            yield f"it is {job.state} and has a result"
        return
    yield from _file("result", job.result.name, job.result_sha256, job.result_bytes)
    if job.result_sha256 != hashlib.sha256(result_for(job.source_sha256)).hexdigest():
        yield "the result is another picture's"


def _file(what: str, name: str | None, sha256: str, size: int | None) -> Iterator[str]:
    if not name or not default_storage.exists(name):
        yield f"the {what} is not on the disk"
        return
    with default_storage.open(name) as file:
        content = file.read()
    if (hashlib.sha256(content).hexdigest(), len(content)) != (sha256, size):
        yield f"the {what} is not what was recorded"


def _of_log(found: list[Case], log: Log) -> Iterator[str]:
    """The totals: they would tell of calls that no job explains."""
    attempts = [told for case in found for told in case.attempts]
    sends = sum(told.row.sends for told in attempts)
    if len(log.calls) > sends:
        yield f"{len(log.calls)} calls came, {sends} were declared"
    booked = sum(told.booked_microcredits for told in attempts)
    doubted = sum(t.charged_microcredits for t in attempts if t.row.state == Attempt.State.IN_DOUBT)
    if log.total_microcredits != booked + doubted:
        yield f"{log.total_microcredits} were charged, {booked} booked, {doubted} of it is in doubt"


def _of_folder(found: list[Case], *, uploads_cut: bool) -> Iterator[str]:
    """No file without its row. (A file that is missing was told with its job.)"""
    named = {name for case in found for name in (case.job.source.name, case.job.result.name)}
    root = Path(default_storage.path(""))
    beside = {
        path for hidden in root.glob(".*") for path in (hidden, *hidden.rglob("*"))
    }  # the spool, the id
    for path in sorted(set(root.rglob("*")) - beside):
        expected = str(path.relative_to(root)) in named or (uploads_cut and path.stem == "source")
        if path.is_file() and not expected:
            yield f"no row names the file {path.relative_to(root)}"
