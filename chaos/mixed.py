"""A site over hours: mixed load and mixed faults, and the memory of processes that live through it all.

Visitors and programs use the site, webhooks go to receivers that fail, and the clock of the periodic tasks is
compressed. Some workers and a web process are killed, frozen and restarted at random, the database is killed
or locked, and the upstream answers in every way it can. Another worker and web process are left alone. In the
end everything has drained, the checker finds nothing, and those two haven't grown.

The control plants two bugs, a leak and a second call, and must notice both.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from random import Random
from unittest.mock import patch

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS
from accounts.models import User
from chaos import kills, memory, patches
from chaos.experiments import Outcome, say
from chaos.hazards import LOCK_TIMEOUT_SECONDS, Hazards
from chaos.memory import MEGABYTE, samples_of
from chaos.notes import Notes
from chaos.process import Process
from chaos.programs import Programs, misled
from chaos.servers import free_port
from chaos.system import CREDITS_PER_TEAM, Prepare, System, close_connections
from chaos.timeouts import decide
from chaos.visitors import Visitors
from chaos.waiting import wait_for
from chaos.webhooks import Round
from jobs.models import Event, Job, Rendition, Verification

POLL_SECONDS = 0.5
BETWEEN_HAZARDS_SECONDS = (2, 15)
SAMPLES = 600
REPORTS_EVERY_SECONDS = 300
SETTLES_WITHIN_SECONDS = 900
DAYS = 5  # days of the compressed clock in a run; each has its nightly check of all books and files
MOST_COMPRESSED = 3600
PROGRAMS = 3
LEAKED_BYTES, CONTROL_SECONDS, CONTROL_CALLS = 4_000_000, 60, 100
UNEXPECTED = ("in an unexpected way", "manage.py verify finds")


class Run:
    """A run from its first process to its verdict.

    leak: a bug in the two processes that are left alone; nothing happens to the others then. calls: the run
    lasts until so many were made.
    """

    def __init__(
        self, system: System, number: int, seed: int, seconds: float, *, leak: Prepare = None, calls: int = 0
    ) -> None:
        self._system, self._seconds, self._name = system, seconds, f"{seed}-{number}"
        self._chance = Random(f"{seed} {number}")  # noqa: S311 - it is to replay
        self._began = self._reported = self._sampled = time.monotonic()
        self._samples = Notes(system.environment.folder / f"samples-{number}")
        self.found: list[str] = []
        self.facts: dict[str, object] = {}
        port = free_port()
        self._addresses = system.address, f"http://127.0.0.1:{port}"
        # Before the first worker, which might keep SQLite's lock.
        self._visitors, self._key = Visitors(system, self._name, self._addresses), system.key()
        self._told = Round(system, number, seed, private=False)
        self._immortal = {
            "worker": system.worker(2, leak),
            "web": system.web("--bind", f"127.0.0.1:{port}", prepare=leak),
        }
        starts: dict[str, Callable[[], Process]] = {
            "worker 1": partial(system.worker, 2),
            "worker 2": partial(system.worker, 1),
            "web 1": system.web,
        }
        self._hazards, self._is_safe = Hazards(system, self._chance, starts, self._pass), leak is not None
        self._calls = calls and len(system.upstream.log().calls) + calls

    def play(self) -> None:
        """Let it all happen, wait until all is quiet, and look what is wrong."""
        system, visitors = self._system, self._visitors
        wait_for(lambda: all(map(system.is_up, self._addresses)), SETTLES_WITHIN_SECONDS, "the first answers")
        with self._told.listening():
            programs = Programs(
                system,
                self._name,
                key=self._key,
                threads=PROGRAMS,
                pause=PROGRAMS,  # so that all together make a call a second
                addresses=self._addresses,
            )
            visiting = visitors.start()
            self._let_happen(visiting)
            answers, answered = visitors.end(visiting), programs.end()
            self._drain()
            self._told.wait_told()
            self._hazards.end(self._hazards.mortal | self._immortal)
            close_connections()
        log = system.upstream.log()
        self.found += [*self._hazards.found, *(f"{count} {what} are left" for what, count in _open())]
        said = {words: system.count_in_log(words) for words in UNEXPECTED}
        self.found += [f"the processes logged “{words}” {said[words]} times" for words in said if said[words]]
        self.found += [f"{line['what']}: {line['text']}" for line in visitors.noted.read()]
        self.found += [*misled(answered, log), *self._told.wrong(), *system.failures(web_killed=True)]
        self.facts = {
            "jobs": Job.objects.count(),
            "calls": len(log.calls),
            "events": Event.objects.count(),
            "erased": Job.objects.exclude(erased_at=None).count(),
            "decided": answers["decided"],
            "verified": Verification.objects.filter(findings=[]).count(),
            "hazards": self._hazards.counts.total(),
        }
        for what, counts in (("happened", self._hazards.counts), ("answered", answers)):
            say(f"{what}: " + ", ".join(f"{count} × {name}" for name, count in sorted(counts.items())))

    def grown(self) -> list[str]:
        """Name the processes that were left alone and grew."""
        taken = samples_of(self._immortal, self._samples)
        return [wrong for name, samples in taken.items() for wrong in memory.wrong(name, samples)]

    def report(self) -> dict[str, object]:
        """Say how the processes' figures went that were left alone; return their memory in short."""
        short: dict[str, object] = {}
        for name, samples in samples_of(self._immortal, self._samples).items():
            for line in memory.report(name, samples):
                say(line)
            rss = memory.figures(samples)["rss"]
            parts = (f"{value / MEGABYTE:.0f}" for value in (rss.start, rss.middle, rss.end))
            short[name] = f"{'→'.join(parts)} MB"
        return short

    def _let_happen(self, visiting: Process) -> None:
        self._began = self._reported = time.monotonic()
        while not self._is_over():
            self._pass(self._chance.uniform(*BETWEEN_HAZARDS_SECONDS))
            for name, process in [*self._immortal.items(), ("visitors", visiting)]:
                if not process.is_alive:
                    raise RuntimeError(f"{name}, which nobody harmed, ended with {process.code}")
            if not self._is_safe and not self._is_over():
                self._hazards.happen()

    def _is_over(self) -> bool:
        if time.monotonic() < self._began + self._seconds:
            return False
        return not self._calls or len(self._system.upstream.log().calls) >= self._calls

    def _pass(self, seconds: float) -> None:
        """Let time pass, and take samples meanwhile."""
        last = time.monotonic() + seconds
        while (left := last - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS))
            if time.monotonic() - self._sampled > self._seconds / SAMPLES:
                self._sample()
            if time.monotonic() - self._reported > REPORTS_EVERY_SECONDS:
                self._say_how_it_goes()

    def _sample(self) -> None:
        self._sampled = time.monotonic()
        at, postgres = self._sampled - self._began, self._system.environment.postgres
        database = postgres.port if postgres else Path(settings.DATABASES["default"]["NAME"])
        alive = ((name, process.pid) for name, process in (self._immortal | self._hazards.mortal).items())
        named = (pair for name, pid in alive for pair in memory.processes(name, pid))
        for name, pid in named:
            if sample := memory.sample(at, name, pid, database):
                self._samples.note(**asdict(sample))

    def _say_how_it_goes(self) -> None:
        self._reported = time.monotonic()
        taken = samples_of(self._immortal, self._samples)
        sizes = {name: f"{each[-1].rss / MEGABYTE:.0f} MB" for name, each in taken.items() if each}
        say(f"{self._reported - self._began:.0f} s: {sizes}, {dict(self._hazards.counts)}")

    def _drain(self) -> None:
        """Grant what is missing, and wait until nothing is left to do; decide what is in doubt."""
        team = self._visitors.team
        _insist(lambda: ledger.grant(team, CREDITS_PER_TEAM * MICROCREDITS, key=f"drain:{team.pk}"))
        wait_for(_is_quiet, SETTLES_WITHIN_SECONDS, "the end of all work")
        self._system.upstream.wait_idle(SETTLES_WITHIN_SECONDS)
        _insist(lambda: decide(self._system))
        wait_for(_is_quiet, SETTLES_WITHIN_SECONDS, "the end of all work after the decisions")


def run(system: System, options: argparse.Namespace) -> Outcome:
    seconds = options.hours * 3600
    system.prepare()
    patches.fast_timings(POLL_SECONDS)
    patches.compress_clock(min(DAYS * 86400 / seconds, MOST_COMPRESSED))
    User.objects.filter(pk=system.user.pk).update(is_staff=True, is_superuser=True)
    impatience = {} if system.environment.postgres else {"timeout": LOCK_TIMEOUT_SECONDS}
    with patch.dict(settings.DATABASES["default"]["OPTIONS"], impatience):
        tested = Run(system, 0, options.seed, seconds)
        tested.play()
    facts = tested.facts | tested.report()
    return Outcome([*tested.found, *tested.grown()], control(system, options), facts)


def control(system: System, options: argparse.Namespace) -> dict[str, int]:
    """Plant a leak, and then a second call; return how much of both was noticed."""
    leak = partial(patches.leak, LEAKED_BYTES)
    leaking = Run(system, 1, options.seed, CONTROL_SECONDS, leak=leak, calls=CONTROL_CALLS)
    leaking.play()
    twice = kills.control(system, options.seed)
    return {
        "leaks": sum(" grew by " in line for line in leaking.grown()),
        "control": sum(": charged once more" in line for line in twice),
    }


def _insist(do: Callable[[], object]) -> None:
    """Do it while others may keep SQLite's lock for longer than anybody waits."""

    def done() -> bool:
        try:
            do()
        except (DatabaseError, InterfaceError):
            return False
        return True

    wait_for(done, SETTLES_WITHIN_SECONDS, "what the database refuses")


def _is_quiet() -> bool:
    with suppress(DatabaseError, InterfaceError):
        return not any(_open())
    return False


def _open() -> Iterator[tuple[str, int]]:
    """Count what is still to do, by kind."""
    for what, rows in (
        ("jobs", Job.objects.unfinished()),
        ("jobs that wait for credits", Job.objects.filter(state=Job.State.KEPT)),
        ("renditions", Rendition.objects.filter(state=Rendition.State.WANTED)),
    ):
        if count := rows.count():
            yield what, count
