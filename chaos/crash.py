"""E1, a crash at a named point.

One call passes some sixty points: before, within and after each commit and each I/O. For each upstream answer
a worker is killed at each of them, and in chains the next ones too; others finish what is left behind, and
the checker must find nothing. With ``--freeze`` workers freeze instead: others take their jobs, and then they
go on. The control stores a result after it is booked instead of before.

A doomed worker sees one job only, so that several can die at once. Leases are made to end, not waited for.
"""

import argparse
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from django.db import connection
from django.utils import timezone

from chaos import patches
from chaos.experiments import Outcome
from chaos.failpoints import Failpoints
from chaos.process import Process
from chaos.system import System
from chaos.upstream import Step
from jobs.models import Job

# What the upstream answers to the calls for one picture, one answer a call; after the last all goes well.
ANSWERS: dict[str, list[Step]] = {
    "ok": ["ok"],
    "free": ["free"],
    "429, then ok": ["slow_down_bare", "ok"],
    "429, then lost": ["slow_down_bare", "reset_after_upload_charged"],
    "429 of no charge, then lost": [
        {"fault": "slow_down_bare", "header": ("0.000000",)},
        "reset_after_upload_charged",
    ],
    "401, then ok": ["suspended", "ok"],
    "500 as a page": ["server_html"],
    "500 to the end": ["server_error", "overloaded", "server_html"],
    "504, charged": ["gateway_charged"],
    "charged, then 500": ["error_charged"],
    "400/1006": ["unreadable"],
    "body cut": ["cut_body"],
    "body reset": ["reset_body"],
    "not a picture": ["not_a_picture"],
    "reset": ["reset_after_upload"],
    "reset, charged": ["reset_after_upload_charged"],
    "hung up, charged": ["hang_up_charged"],
    "no charge header": ["no_charge_header"],
    "unreadable charge": ["unreadable_charge"],
    "overage": [{"fault": "above_hold", "factor": 7}],
}
AT_ONCE, FROZEN_AT_ONCE = 3, 12
SMALLEST, USUAL = (8, 8), (16, 64)
"""Sides in pixels. A charge for the smallest pictures teaches the product nothing about the price of others,
whose holds are to be too small for an overage."""

CHAIN = 3
LONGEST = 60  # the highest point in a chain; a plain call has some sixty
CONTROL_EVERY = 3
DEADLINE_SECONDS = 30
LOCKED_SECONDS = 2
IN_A_TRANSACTION = "before commit"
"""A worker that freezes there keeps its locks: no other can take the job, and on SQLite none can write."""

Case = tuple[int, tuple[int, ...]]
"""A job, and the points at which the workers that take it up die, one after the other."""


@dataclass
class Crashes:
    """died: workers that reached their point. missed: those that should have and found no such point."""

    system: System
    seed: int
    every: int = 1
    chains: int = 0
    plant: Callable[[], None] = lambda: None
    points: int = 0
    died: int = 0
    missed: int = 0

    def kill(self, answer: str) -> None:
        """Kill workers at the points of the call that is answered so, and in some chains."""
        names, chance = self._names(answer), Random(f"{self.seed} {answer}")  # noqa: S311 - it is to replay
        cases: list[Case] = [
            (self._submit(answer, f"{answer}; killed {names[at]}, point {at + 1}"), (at + 1,))
            for at in self._chosen(answer, names)
        ]
        for _ in range(self.chains):
            points = tuple(chance.randint(1, LONGEST) for _ in range(CHAIN))
            cases.append((self._submit(answer, f"{answer}; killed at {points}"), points))
        for link in range(CHAIN):
            left = [case for case in cases if len(case[1]) > link]
            for at in range(0, len(left), AT_ONCE):
                self._kill(left[at : at + AT_ONCE], link)
            end_leases()

    def freeze(self, answer: str) -> None:
        """Freeze workers at the points, let others take their jobs, and thaw them."""
        names = self._names(answer)
        chosen = [at for at in self._chosen(answer, names) if names[at] != IN_A_TRANSACTION]
        for at in range(0, len(chosen), FROZEN_AT_ONCE):
            group = chosen[at : at + FROZEN_AT_ONCE]
            workers = [self._freeze(answer, names[number], number + 1) for number in group]
            end_leases()
            self.recover(idle=False)  # frozen amid a call, a worker keeps the upstream waiting
            for worker in workers:
                worker.thaw()
            if any(codes := [worker.wait(DEADLINE_SECONDS) for worker in workers]):
                raise RuntimeError(f"workers that thawed ended with {codes}")
            self.system.upstream.wait_idle(DEADLINE_SECONDS)

    def recover(self, *, idle: bool = True) -> None:
        """Let others finish what there is."""
        workers = [self.system.worker(threads=2) for _ in range(2)]
        self.system.settle(idle=idle)
        for worker in workers:
            worker.end()

    def _names(self, answer: str) -> list[str]:
        """Return all points, told by a worker that passes them."""
        trace = self.system.environment.folder / f"trace-{self.points}"
        job = self._submit(answer, f"{answer}; not killed", SMALLEST)
        if (code := self._doomed(job, trace=trace).wait(DEADLINE_SECONDS)) != 0:
            raise RuntimeError(f"{answer}: a worker that wasn't killed ended with {code}")
        names = trace.read_text().splitlines()
        self.points += len(names)
        return names

    def _chosen(self, answer: str, names: list[str]) -> range:
        """Choose each point, or each n-th beginning somewhere else for each seed and answer."""
        return range((self.seed + list(ANSWERS).index(answer)) % self.every, len(names), self.every)

    def _submit(self, answer: str, name: str, sides: tuple[int, int] = USUAL) -> int:
        return self.system.submit(self.system.picture(sides), name=name, answers=ANSWERS[answer]).pk

    def _doomed(self, job: int, **failpoints: Any) -> Process:
        def prepare() -> None:
            self.plant()
            patches.see_only(job)
            patches.end_with(job)
            Failpoints(**failpoints).install()

        return self.system.worker(prepare=prepare)

    def _kill(self, group: list[Case], link: int) -> None:
        workers = [self._doomed(job, point=points[link]) for job, points in group]
        for (job, points), worker in zip(group, workers, strict=True):
            code = worker.wait(DEADLINE_SECONDS)
            if code not in (-signal.SIGKILL, 0):
                raise RuntimeError(f"the doomed worker of job {job} ended with {code}")
            self.died += code == -signal.SIGKILL
            # A worker that takes up a job has less before it, and may be through before its point.
            self.missed += code == 0 and len(points) == 1

    def _freeze(self, answer: str, name: str, point: int) -> Process:
        job = self._submit(answer, f"{answer}; frozen {name}, point {point}")
        worker = self._doomed(job, point=point, number=signal.SIGSTOP)
        frozen = worker.wait_frozen(DEADLINE_SECONDS)
        if frozen and _nobody_can_write():
            worker.kill()  # another of its threads was amid a write
            return self._freeze(answer, name, point)
        self.died += frozen
        self.missed += not frozen
        return worker


def _nobody_can_write() -> bool:
    """Return True if SQLite's only lock for writing is held for good."""
    if connection.vendor != "sqlite":
        return False
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=LOCKED_SECONDS)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def end_leases() -> None:
    """Make what is left behind, or put off, due: as if so much time had passed."""
    now = timezone.now()
    Job.objects.unfinished().filter(state=Job.State.QUEUED).update(run_after=now)
    Job.objects.unfinished().filter(state=Job.State.RUNNING).update(lease_until=now - timedelta(seconds=1))


def run(system: System, options: argparse.Namespace) -> Outcome:
    crashes = Crashes(system, options.seed, options.every, options.chains)
    for answer in ANSWERS:
        (crashes.freeze if options.freeze else crashes.kill)(answer)
    crashes.recover()
    found = system.failures()
    # Several points in a row lie between the booking and the storing, so a third of them is enough.
    control = Crashes(system, options.seed, min(options.every, CONTROL_EVERY), plant=patches.book_first)
    control.kill("ok")
    control.recover()
    noticed = set(system.failures()) - set(found)
    facts = {"points": crashes.points, "cases": crashes.died, "missed": crashes.missed}
    return Outcome(found, {"control": len(noticed)}, facts)
