"""E4, the ambiguous time-out.

All times are scaled so that the client's 200 s are 8. Up to 185 s each call must be one charge and a job
done; beyond it, and behind a proxy that cuts at 60 s or answers 504, the job must be in doubt after one call,
until a person says what the upstream's journal says.

The control is a client with a time-out of 60 s: slow answers are in doubt, and charged twice if it takes them
for "not processed".
"""

import argparse
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.conf import settings

from chaos import patches, proxy
from chaos.experiments import TIMES_SCALE, Outcome
from chaos.system import Prepare, System, close_connections
from chaos.upstream import Step
from jobs.audit import review
from jobs.models import Attempt, Job

EACH = 2
PROXY_SECONDS = 60

DONE, FAILED, IN_DOUBT = Job.State.DONE, Job.State.FAILED, Job.State.IN_DOUBT


def late(seconds: int) -> Step:
    return {"fault": "ok", "delay": seconds}


class Kind(NamedTuple):
    """A way to be slow, and what must come of it. answers: the upstream's to the calls for one picture."""

    name: str
    answers: list[Step]
    state: Job.State
    calls: int = 1
    charges: int = 1


DIRECTLY = [
    *(Kind(f"answered after {seconds} s", [late(seconds)], DONE) for seconds in (5, 60, 170, 180, 185)),
    Kind("a body in pieces, 60 s before each", ["slow_body"], DONE),
    Kind("an error after 170 s, then the result", ["delay_170_free", "ok"], DONE, calls=2),
    Kind("headers, then silence", ["silent_head"], FAILED),
    Kind("answered after 260 s", [late(260)], IN_DOUBT),
    Kind("charged, never answered", ["silent_charged"], IN_DOUBT),
    Kind("not charged, never answered", ["silent"], IN_DOUBT, charges=0),
    Kind("a gateway's 504, charged", ["gateway_charged"], IN_DOUBT),
]
THROUGH_A_PROXY = [
    Kind("answered after 5 s, cut at 60 s", [late(5)], DONE),
    Kind("answered after 30 s, cut at 60 s", [late(30)], DONE),
    Kind("answered after 170 s, cut at 60 s", [late(170)], IN_DOUBT),
]
IMPATIENT = [Kind("answered after 170 s, given up at 60 s", [late(170), "ok"], IN_DOUBT)]


def call(system: System, kinds: Iterable[Kind], prepare: Prepare = None) -> tuple[list[str], int]:
    """Have jobs of each kind called at once; return what went otherwise, and how many are in doubt."""
    jobs = {
        system.submit(name=kind.name, answers=kind.answers).pk: kind for kind in kinds for _ in range(EACH)
    }
    worker = system.worker(threads=len(jobs), prepare=prepare)
    system.settle()
    worker.end()
    close_connections()
    log, found = system.upstream.log(), []
    made = Job.objects.filter(pk__in=jobs)
    for job in made:
        kind, picture = jobs[job.pk], job.source_sha256
        came = (job.state, len(log.calls_of(picture)), len(log.charges_of(picture)))
        if came != (expected := (kind.state, kind.calls, kind.charges)):
            found.append(f"job {job.pk} ({job.name}): {came} instead of {expected}")
    return found, sum(job.state == IN_DOUBT for job in made)


def decide(system: System, before: datetime | None = None) -> int:
    """Resolve each call in doubt as a person would who asks the upstream; return how many those were.

    before: leave later calls alone, which may still be charged.
    """
    doubted = Attempt.objects.filter(state=Attempt.State.IN_DOUBT).select_related("job")
    if before:
        doubted = doubted.filter(sent_at__lt=before)
    log = system.upstream.log()
    for attempt in (attempts := list(doubted)):
        # Its job's earlier calls were of the same picture, and are booked already.
        since = (attempt.sent_at or attempt.prepared_at).timestamp()
        charges = log.charges_of(attempt.job.source_sha256)
        charged = sum(charge.microcredits for charge in charges if charge.at >= since)
        review.resolve(attempt, charged, system.user, "asked the upstream")
    return len(attempts)


def reach(url: str) -> None:
    """Let this worker ask at another address."""
    settings.PIXIAN_API_URL = url


def run(system: System, _options: argparse.Namespace) -> Outcome:
    found, _ = call(system, DIRECTLY)
    for reset in (False, True):
        with proxy.running(system.upstream.url, PROXY_SECONDS * TIMES_SCALE, reset=reset) as url:
            found += call(system, THROUGH_A_PROXY, partial(reach, url))[0]
    found += system.failures()
    facts = {"cases": Job.objects.count(), "decided": decide(system)}
    found += [f"after the decision: {wrong}" for wrong in system.failures()]
    settings.PIXIAN_TIMEOUT = round(PROXY_SECONDS * TIMES_SCALE)  # of the control's workers
    _, doubted = call(system, IMPATIENT)
    before = system.failures()
    call(system, IMPATIENT, patches.resend_unanswered_calls)
    noticed = set(system.failures()) - set(before)
    return Outcome(found, {"doubted_at_60_s": doubted, "control": len(noticed)}, facts)
