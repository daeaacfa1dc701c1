"""E4 on its stage."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import connections

from chaos import proxy
from chaos.cases import Case, cases
from chaos.judge import failures
from chaos.site import Site
from chaos.stage import Stage, report
from chaos.upstream import Step
from jobs.audit import review
from jobs.calls import outcomes
from jobs.calls.upstream import Upstream
from jobs.models import Attempt, Job

PROXY_SECONDS = 60
PATIENCE_SECONDS = 120
UNHEARD = "the header None was recorded"
"""The judge's word for a booking that no header asked for: here a person did."""

DONE, FAILED, IN_DOUBT = Job.State.DONE, Job.State.FAILED, Job.State.IN_DOUBT


@dataclass(frozen=True)
class Kind:
    """A way to be slow, and what must come of it. answers: the upstream's to the calls for one picture."""

    name: str
    answers: list[Step]
    state: Job.State
    calls: int = 1
    charges: int = 1


def late(seconds: int) -> Step:
    return {"fault": "ok", "delay": seconds}


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


class Slow:
    """Jobs of each kind, all called for at once; ``found`` says what didn't come of them as it must."""

    def __init__(self, site: Site, each: int) -> None:
        self.site = site
        self.found: list[str] = []
        self._each = each

    def calls(self, kinds: Iterable[Kind], prepare: Callable[[], None] | None = None) -> list[Case]:
        jobs = {self._submit(kind): kind for kind in kinds for _ in range(self._each)}
        worker = self.site.worker(threads=len(jobs), prepare=prepare)
        self.site.settled(PATIENCE_SECONDS)
        worker.end()
        connections.close_all()
        made = [case for case in cases(self.site.upstream.log()) if case.job.pk in jobs]
        self.found += [wrong for case in made for wrong in _wrong(case, jobs[case.job.pk])]
        return made

    def _submit(self, kind: Kind) -> int:
        job = self.site.submit(name=kind.name)
        self.site.upstream.by_sha256(job.source_sha256, kind.answers)
        return job.pk


def _wrong(case: Case, kind: Kind) -> list[str]:
    calls = sum(len(told.calls) for told in case.attempts)
    charges = sum(len(told.charges) for told in case.attempts)
    came, expected = (case.job.state, calls, charges), (kind.state, kind.calls, kind.charges)
    return [] if came == expected else [f"{case}: {came} instead of {expected}"]


def decide(site: Site) -> int:
    """A person asks the upstream about each call in doubt, whose log knows; returns how many those were."""
    decided = 0
    for case in cases(site.upstream.log()):
        for told in case.attempts:
            if told.row.state == Attempt.State.IN_DOUBT:
                review.resolve(told.row, told.charged_microcredits, site.user, "asked the upstream")
                decided += 1
    return decided


def reach(url: str | None = None, timeout: int | None = None, *, repeats: bool = False) -> None:
    """In a worker, before it begins: where and for how long it asks. repeats: the control's mistake."""
    settings.PIXIAN_API_URL = url or settings.PIXIAN_API_URL
    settings.PIXIAN_TIMEOUT = timeout or settings.PIXIAN_TIMEOUT
    if repeats:
        outcomes.handle_lost_response = _send_again  # type: ignore[assignment]


def _send_again(job: Job, attempt: Attempt, _: Upstream) -> None:
    outcomes.postpone(job, attempt, Job.Reason.UNREACHABLE, 0)


def run(stage: Stage, options: argparse.Namespace, scale: float) -> int:
    began = time.monotonic()
    with Site(stage, seed=options.seed) as site, ExitStack() as ends:
        slow = Slow(site, options.each)
        slow.calls(DIRECTLY)
        for reset in (False, True):
            cutting = proxy.running(site.upstream.url, PROXY_SECONDS * scale, reset=reset)
            slow.calls(THROUGH_A_PROXY, partial(reach, ends.enter_context(cutting).url))
        found = [*slow.found, *failures(site.upstream.log())]
        jobs, decided = Job.objects.count(), decide(site)
        found += [
            f"after the decision: {wrong}" for wrong in failures(site.upstream.log()) if UNHEARD not in wrong
        ]
        impatient = partial(reach, timeout=round(PROXY_SECONDS * scale))
        doubted = sum(case.job.state == IN_DOUBT for case in slow.calls(IMPATIENT, impatient))
        before = failures(site.upstream.log())
        slow.calls(IMPATIENT, partial(impatient, repeats=True))
        damage = [failure for failure in failures(site.upstream.log()) if failure not in before]
    for failure in found:
        sys.stdout.write(f"{failure}\n")
    report(
        "E4 timeouts",
        options,
        scale=scale,
        cases=jobs,
        decided=decided,
        failures=len(found),
        doubted_at_60_s=f"{doubted} of {options.each}",
        control=len(damage),
        seconds=round(time.monotonic() - began),
    )
    return 0 if damage and doubted and not found else 1
